"""The best settings in a configuration file: the file as it was, with other values and where they come from."""

import pytest

from components.tuning.write_back import write_tuned_config
from forecasting.config import load_config
from forecasting.errors import ConfigError

TEXT = """\
name: load   # the grid's own
data: {uri: load.csv, target: load}
forecast: {horizon: 24, context: 48, segment: 24, seasons: [24]}
# Small, for a laptop.
model:
  units: 16  # as wide as it was
compression: {max_accuracy_loss: 0.02}
gates:
  model: {max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}
  compressed: {max_mae: 1, max_rmse: 1}
  serving: {max_latency_ms: 50, max_difference_ratio: 0.001}
"""


@pytest.fixture
def written(tmp_path):
    source, target = tmp_path / "load.yaml", tmp_path / "load.tuned.yaml"
    source.write_text(TEXT)
    before = load_config(source, ["training.max_epochs=7"]).model_dump()
    best = {"model.units": 48, "training.learning_rate": 0.0012, "forecast.context": 48}
    write_tuned_config(
        source, target, best=best, before=before, overrides=["training.max_epochs=7"], why="trial 3 of 9"
    )
    return target


def test_the_file_can_be_read_and_has_the_best_settings(written):
    config = load_config(written)
    assert (config.model.units, config.training.learning_rate, config.forecast.context) == (48, 0.0012, 48)


def test_what_the_search_was_called_with_is_part_of_it(written):
    assert load_config(written).training.max_epochs == 7
    assert "max_epochs: 7  # from --set" in written.read_text()


def test_each_value_says_where_it_comes_from_and_what_it_was(written):
    lines = [" ".join(line.split()) for line in written.read_text().splitlines()]
    assert "units: 48 # trial 3 of 9; was 16" in lines
    assert "learning_rate: 0.0012 # trial 3 of 9; was 0.003" in lines
    assert "context: 48 # trial 3 of 9; as it was" in lines


def test_what_no_trial_changed_stays_as_it_is_written(written):
    lines = written.read_text().splitlines()
    for line in ("name: load   # the grid's own", "data: {uri: load.csv, target: load}", "# Small, for a laptop."):
        assert line in lines


def test_a_list_is_written_in_one_line(tmp_path):
    source, target = tmp_path / "load.yaml", tmp_path / "out.yaml"
    source.write_text(TEXT.replace("model:\n  units: 16  # as wide as it was", "model: {kind: lstm}"))
    before = load_config(source).model_dump()
    write_tuned_config(source, target, best={"model.units": (128, 64)}, before=before, overrides=(), why="trial 1 of 2")
    assert "units: [128, 64]  # trial 1 of 2; was 64, 32" in target.read_text()
    assert load_config(target).model.units == (128, 64)


def test_a_file_that_is_gone_is_an_error_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match="to write the best settings back"):
        write_tuned_config(tmp_path / "gone.yaml", tmp_path / "out.yaml", best={}, before={}, overrides=(), why="")
