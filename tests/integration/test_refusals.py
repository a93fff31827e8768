"""Bad tables, leaks and wrong configurations: the real command refuses each of them in one line."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.integration.load_home import (
    LoadHome,
    Row,
    error_lines,
    half_written,
    load_rows,
    make_home,
    result_lines,
    write_rows,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    return make_home(tmp_path_factory.mktemp("refusals"))


def the_error(home: LoadHome, done: subprocess.CompletedProcess[str], *, code: int) -> str:
    """The one line of a run that failed; it left nothing half-written."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = error_lines(done)
    assert line.startswith("almanac: ")
    assert half_written(home.latest()) == []
    return line.removeprefix("almanac: ")


def the_refusal(home: LoadHome, done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a run whose table could be read and was refused: a result, so on stdout."""
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert error_lines(done) == []
    assert half_written(home.latest()) == []
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("data refused: ")]
    assert line.endswith("; nothing was trained, the champion is untouched")
    return line


def run_on(home: LoadHome, rows: list[Row], path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return home.run("--set", f"data.uri={write_rows(rows, path)}", *words)


def test_a_missing_file_is_named(home):
    line = the_error(home, home.run("--set", "data.uri=gone.csv"), code=3)
    assert line == (
        f"validate_data: data.uri must name an existing file, and there is none at {home.folder / 'gone.csv'}; a relative "
        "path starts at the configuration"
    )


def test_a_missing_column_is_named_with_the_nearest_one(home, tmp_path):
    rows = [{("temprature" if name == "temperature" else name): row[name] for name in row} for row in load_rows()]
    line = the_error(home, run_on(home, rows, tmp_path / "load.csv"), code=3)
    assert "must have the column 'temperature'" in line
    assert line.endswith("the nearest is 'temprature'")


def test_a_time_that_cannot_be_read_is_named_with_its_row_and_value(home, tmp_path):
    rows = load_rows()
    rows[4]["time"] = "yesterday"
    line = the_error(home, run_on(home, rows, tmp_path / "load.csv"), code=3)
    assert "line 6" in line
    assert "'yesterday'" in line


def test_an_empty_table_is_refused(home, tmp_path):
    (tmp_path / "load.csv").write_text("time,load,temperature,holiday\n")
    line = the_error(home, home.run("--set", f"data.uri={tmp_path / 'load.csv'}"), code=3)
    assert "must have" in line
    assert "rows" in line


def test_a_file_of_no_bytes_is_refused(home, tmp_path):
    (tmp_path / "load.csv").write_text("")
    line = the_error(home, home.run("--set", f"data.uri={tmp_path / 'load.csv'}"), code=3)
    assert str(tmp_path / "load.csv") in line


def test_hours_and_then_days_are_refused_as_mixed_frequency(home, tmp_path):
    rows = load_rows()
    line = the_refusal(home, run_on(home, rows[:1_500] + rows[1_500::24], tmp_path / "load.csv"))
    assert "must have one frequency; rows are usually 3600 s apart, but 86400 s from " in line


def test_too_little_history_is_refused_with_what_is_needed(home, tmp_path):
    line = the_refusal(home, run_on(home, load_rows()[:500], tmp_path / "load.csv"))
    # context 48 and rolling window 24 - 1, horizon 24, 10 days and 14 days
    assert "has 500 steps of 1h before the cutoff; needed are 671:" in line


def leaky_rows() -> list[Row]:
    """With a covariate that is the target and a little noise, for the day ahead too."""
    rng = np.random.default_rng(1)
    rows = load_rows()
    ahead = iter(f"{1_000 + rng.normal():.3f}" for _ in range(24))
    return [
        {**row, "orders": f"{float(row['load']) + rng.normal(0, 0.5):.3f}" if row["load"] else next(ahead)}
        for row in rows
    ]


def test_a_covariate_that_is_the_target_in_disguise_is_refused_by_name(home, tmp_path):
    known = "data.known=[temperature, holiday, orders]"
    line = the_refusal(home, run_on(home, leaky_rows(), tmp_path / "load.csv", "--set", known))
    assert "changes of 'orders' correlate most with those of the target" in line


def test_a_leak_that_validation_lets_pass_is_too_good_to_be_true_for_the_model_gate(home, tmp_path):
    settings = [
        "data.known=[temperature, holiday, orders]",
        "validation.max_leak_correlation=1.0",
        # This small network does not copy the leak perfectly: it comes to 0.03, an honest one to 0.11.
        "gates.model.min_naive_ratio=0.08",
        "training.max_epochs=8",
    ]
    done = run_on(home, leaky_rows(), tmp_path / "load.csv", *(word for one in settings for word in ("--set", one)))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("not promoted: evaluate_model refused: ")]
    assert "min_naive_ratio fails" in line
    assert "a covariate or the features may hold the target's future" in line
    assert list(result_lines(done)) == [
        "validate_data", "build_features", "train_model", "evaluate_model", "report_run"
    ]  # fmt: skip
    assert not home.layout.models.exists()


def the_configuration_error(home: LoadHome, *words: str) -> str:
    """The one line of a command whose configuration or words are wrong; no run was begun."""
    before = len(list(home.layout.runs.glob("*/run.json")))
    done = home.almanac(*words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert len(list(home.layout.runs.glob("*/run.json"))) == before
    assert line.startswith("almanac: ")
    return line.removeprefix("almanac: ")


def test_an_unknown_key_is_named_with_the_nearest_one(home):
    line = the_configuration_error(home, "run", "-c", str(home.config), "--set", "training.max_epoch=3")
    assert line.endswith("unknown key 'training.max_epoch'; the nearest known key is 'training.max_epochs'")


def test_a_configuration_without_thresholds_is_refused(home, tmp_path):
    before, after = home.config.read_text().split("gates:\n")
    (tmp_path / "load.yaml").write_text(before + after[after.index("serving: {grpc_port") :])
    line = the_configuration_error(home, "run", "-c", str(tmp_path / "load.yaml"))
    assert line.endswith("'gates' must be set; it has no default")


def test_a_single_missing_threshold_is_named(home, tmp_path):
    (tmp_path / "load.yaml").write_text(home.config.read_text().replace("max_naive_ratio: 0.5, ", ""))
    line = the_configuration_error(home, "run", "-c", str(tmp_path / "load.yaml"))
    assert line.endswith("'gates.model.max_naive_ratio' must be set; it has no default")
