"""`almanac backtest` as a user types it: refits that know nothing of their folds, tables, exit codes."""

import json
import re
import signal
from datetime import UTC, datetime

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import load_step
from tests.integration.load_home import (
    LoadHome,
    document,
    error_lines,
    load_rows,
    make_home,
    wait_until,
    write_rows,
)

pytestmark = pytest.mark.slow

WORDS = ("--folds", "2", "--refit-every", "1", "--stride", "12", "--set", "training.max_epochs=2")
SECOND_FOLD_HOUR = 120 * 24 - 13 * 24
"""First hour of the second fold: the test period is 14 days, the first of which is the embargo."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which a backtest was made."""
    made = make_home(tmp_path_factory.mktemp("backtest"))
    done = made.almanac("backtest", "-c", str(made.config), *WORDS, "--out", "scores.parquet")
    assert done.returncode == 0, done.stderr
    (made.folder / "printed.txt").write_text(done.stdout)
    return made


def test_backtest_prints_accuracy_by_model_part_of_the_horizon_and_fold(home: LoadHome) -> None:
    lines = (home.folder / "printed.txt").read_text().splitlines()
    assert lines[0] == "1 series, 50 origins, 2 folds from 2024-04-04 00:00 UTC to 2024-04-30 00:00 UTC; errors in load"
    assert lines[2].split() == ["MAE", "RMSE", "WQL", "in", "80.0", "%", "skill", "steps"]
    assert [line.split()[0] for line in lines[3:6]] == ["candidate", "seasonal_naive_24", "seasonal_naive_48"]
    assert "MAE by steps ahead" in lines
    assert "MAE by fold" in lines
    assert lines[-1].endswith("2024-04-17 00:00 UTC  2024-04-30 00:00 UTC  2024-04-17 00:00 UTC")


def test_table_and_metrics_tell_the_same(home: LoadHome) -> None:
    rows = pq.read_table(home.folder / "scores.parquet").filter(pc.field("model") == "candidate")
    metrics = document(home.folder / "scores.json")
    errors = pc.abs(pc.subtract(rows["actual"], rows["q0.5"].cast("double")))
    assert pc.mean(errors).as_py() == pytest.approx(metrics["backtest"]["models"]["candidate"]["overall"]["mae"])
    assert sorted(pc.unique(rows["fold"]).to_pylist()) == [1, 2]
    assert metrics["skill"]["candidate"] > 0.5
    by_series = pq.read_table(home.folder / "scores.series.parquet").filter(pc.field("model") == "candidate")
    assert by_series["mae"].to_pylist() == pytest.approx([pc.mean(errors).as_py()])


def test_no_fit_has_read_anything_from_its_fold_on(home: LoadHome) -> None:
    """From the second fold on another table: both fits, asked at origins before that, answer as they did."""
    rows = load_rows()
    for hour in range(SECOND_FOLD_HOUR, 120 * 24):
        rows[hour]["load"] = f"{1.2 * float(rows[hour]['load']) + 40:.3f}"
    table = write_rows(rows, home.folder / "changed.csv")
    done = home.almanac(
        "backtest", "-c", str(home.config), *WORDS, "--set", f"data.uri={table}", "--out", "changed.parquet"
    )
    assert done.returncode == 0, done.stderr
    until = datetime(2024, 4, 17, tzinfo=UTC)
    first, second = (
        pq.read_table(home.folder / name).filter((pc.field("model") == "candidate") & (pc.field("origin") <= until))
        for name in ("scores.parquet", "changed.parquet")
    )
    assert pc.max(first["fold"]).as_py() == 2
    assert first["q0.5"].equals(second["q0.5"])
    assert not first["actual"].equals(second["actual"])


def test_json_goes_to_stdout_alone(home: LoadHome) -> None:
    done = home.almanac("backtest", "-c", str(home.config), *WORDS, "--out", "again.parquet", "--json")
    assert json.loads(done.stdout) == document(home.folder / "again.json")


def test_more_folds_than_the_table_has_room_for_are_refused_as_data(home: LoadHome) -> None:
    done = home.almanac("backtest", "-c", str(home.config), "--folds", "9")
    assert done.returncode == 3
    assert "9 folds must leave a train period before the first" in error_lines(done)[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "champion"), "--model champion: model 'load' must have one"),
        (("--model", "best"), "--model must be champion, candidate, previous or the number of a version, found 'best'"),
        (("--out", "scores.csv"), "--out must end in .parquet"),
        (("--folds", "0"), "backtest.folds"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(home: LoadHome, words: tuple[str, ...], said: str) -> None:
    done = home.almanac("backtest", "-c", str(home.config), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "[1/" not in done.stderr


def test_a_backtest_that_was_stopped_goes_on_where_it_was(home: LoadHome) -> None:
    words = ("backtest", "-c", str(home.config), *WORDS, "--set", "training.seed=5", "--out", "stopped.parquet")
    runs = HomeLayout(home.home / "backtests").runs
    before = set(runs.iterdir())
    process = home.start(*words)

    def trains() -> bool:
        new = [path for path in runs.iterdir() if path not in before and path.is_dir()]
        return any(load_step(RunLayout(path), StepName.TRAIN_MODEL) is not None for path in new)

    wait_until(trains, process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    assert "almanac: the backtest was stopped; the same command goes on from here" in said
    done = home.almanac(*words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"build_features .*done already", done.stderr)
