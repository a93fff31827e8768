"""`almanac tune` as a user types it: trials that know nothing of the test period, going on after kill -9 and SIGTERM."""

import re
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from forecasting.config import load_config
from tests.integration.load_home import LoadHome, document, load_rows, make_home, wait_until, write_rows

pytestmark = pytest.mark.slow

SPACE = """\
tuning:
  n_trials: 2
  folds: 1
  pruner: none
  space:
    model.units: {low: 8, high: 24}
    training.learning_rate: {low: 0.005, high: 0.02, log: true}
"""
WORDS = ("--set", "training.max_epochs=2", "--set", "training.refit=false")
TEST_BEGINS_HOUR = 120 * 24 - 14 * 24


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which a search was made."""
    made = make_home(tmp_path_factory.mktemp("tune"))
    made.config.write_text(made.config.read_text() + SPACE)
    done = tune(made)
    (made.folder / "printed.txt").write_text(done.stdout)
    return made


def tune(home: LoadHome, *words: str):
    done = home.almanac("tune", "-c", str(home.config), *WORDS, *words)
    assert done.returncode == 0, done.stderr
    return done


def trials(home: LoadHome):
    return document(home.home / "tuning/load/trials.json")["trials"]


def test_the_best_settings_are_a_configuration_that_can_be_used(home: LoadHome) -> None:
    report = document(home.home / "tuning/load/trials.json")
    best = next(trial for trial in report["trials"] if trial["number"] == report["best"])
    assert best["value"] == min(trial["value"] for trial in report["trials"])
    tuned = load_config(home.folder / "load.tuned.yaml")
    assert tuned.model.model_dump()["units"] == best["settings"]["model.units"]
    assert tuned.training.learning_rate == pytest.approx(best["settings"]["training.learning_rate"])
    assert tuned.training.max_epochs == 2


def test_the_first_trial_is_the_configuration_as_it_is(home: LoadHome) -> None:
    assert trials(home)[0]["settings"] == {"model.units": 16, "training.learning_rate": 0.01}
    assert re.search(r"^0 \(as configured\)", (home.folder / "printed.txt").read_text(), re.MULTILINE)


def test_table_and_document_tell_the_same(home: LoadHome) -> None:
    rows = pq.read_table(home.home / "tuning/load/trials.parquet").to_pylist()
    assert [row["wql"] for row in rows] == [trial["value"] for trial in trials(home)]
    assert [row["outcome"] for row in rows] == ["scored", "scored"]
    assert all(len(trial["epochs"]) == 2 and trial["folds"][0]["train_loss"] > 0 for trial in trials(home))


def test_folds_end_where_the_test_period_begins(home: LoadHome) -> None:
    report = document(home.home / "tuning/load/trials.json")
    begins = 1_704_067_200 + TEST_BEGINS_HOUR * 3_600
    assert report["ends_before"] == begins
    assert [end for _, end in report["folds"]] == [begins]


def test_nothing_of_the_test_period_is_read(home: LoadHome) -> None:
    """With another test period every trial is as it was: the search finds them all done, so none of them depends on it."""
    before = trials(home)
    rows = load_rows()
    for hour in range(TEST_BEGINS_HOUR, 120 * 24):
        rows[hour]["load"] = f"{1.2 * float(rows[hour]['load']) + 40:.3f}"
    write_rows(rows, home.folder / "changed.csv")
    (home.folder / "load.csv").rename(home.folder / "first.csv")
    (home.folder / "changed.csv").rename(home.folder / "load.csv")
    try:
        done = tune(home)
    finally:
        (home.folder / "first.csv").rename(home.folder / "load.csv")
    assert "2 of 2 trials" in done.stderr
    assert not re.search(r"^trial \d", done.stderr, re.MULTILINE)
    assert trials(home) == before


@pytest.mark.parametrize(("number", "code", "n_trials"), [(signal.SIGKILL, -9, 3), (signal.SIGTERM, 143, 4)])
def test_a_search_that_was_ended_goes_on_with_the_same_trial(
    home: LoadHome, number: signal.Signals, code: int, n_trials: int
) -> None:
    known = {trial["number"] for trial in trials(home)}
    words, left = ("--trials", str(n_trials)), trial_files(home)
    process = home.start("tune", "-c", str(home.config), *WORDS, *words)
    wait_until(lambda: bool(trial_files(home) - left), process)
    told = document((trial_files(home) - left).pop())["config"]["model"]["units"]
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    tune(home, *words)
    new = [trial for trial in trials(home) if trial["number"] not in known]
    assert [trial["outcome"] for trial in new] == ["stopped", "scored"]
    assert new[0]["settings"] == new[1]["settings"]
    assert new[0]["settings"]["model.units"] == told


def trial_files(home: LoadHome) -> set[Path]:
    """What running trials are told."""
    return set((home.home / "tuning/load").glob("trial-*.json"))


def test_a_table_too_short_for_the_folds_is_refused(home: LoadHome) -> None:
    done = home.almanac("tune", "-c", str(home.config), *WORDS, "--set", "tuning.folds=40")
    assert done.returncode == 3
    assert "each of 40 folds of the search must hold a forecast of 24 steps, and has 6" in done.stderr


def test_the_configuration_itself_is_never_written_to(home: LoadHome) -> None:
    done = home.almanac("tune", "-c", str(home.config), "--out", str(home.config))
    assert done.returncode == 2
    assert "--out must be another file than the configuration" in done.stderr
    assert yaml.safe_load(home.config.read_text())["model"]["units"] == 16
