"""Configuration files that cannot be read."""

from pathlib import Path

import pytest

from forecasting.config import load_config
from forecasting.errors import ConfigError

GATES = """\
compression: {max_accuracy_loss: 0.1}
gates:
  model: {max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}
  compressed: {max_mae: 1, max_rmse: 1}
  serving: {max_latency_ms: 50, max_difference_ratio: 0.001}
"""


def test_a_file_that_is_not_utf_8_is_one_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_bytes("name: toy\n# Zürich\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"toy\.yaml line 2 must be UTF-8, found byte 0xfc; save the file as UTF-8"):
        load_config(path)


def test_two_servers_on_one_port_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(GATES)
    with pytest.raises(ConfigError, match="rest_port and gateway_port must differ, found 8501 for both"):
        load_config(path, ["serving.gateway_port=8501"])


def test_any_number_of_servers_may_take_a_free_port(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(GATES)
    serving = load_config(path, ["serving.rest_port=0", "serving.gateway_port=0"]).serving
    assert (serving.rest_port, serving.gateway_port) == (0, 0)


def test_times_need_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(GATES + "split: {train_until: 2013-12-31T13:00:00Z, validation_until: 2014-06-30}\n")
    split = load_config(path, ["split.train_until=2013-11-30 13:00:00+01:00"]).split
    assert (split.train_until, split.validation_until) == ("2013-11-30 13:00:00+01:00", "2014-06-30")
