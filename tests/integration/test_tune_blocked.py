"""`almanac tune` on blocks of the table with two workers of one SQLite study, as a user types it."""

import pytest

from tests.integration.load_home import LoadHome, document, make_home

pytestmark = pytest.mark.slow

SEARCH = """\
tuning:
  cross_validation: blocked
  n_trials: 3
  n_workers: 2
  folds: 2
  fold_length: 5d
  sampler: random
  pruner: none
  space:
    training.learning_rate: {low: 0.005, high: 0.02, log: true}
"""
WORDS = ("--set", "training.max_epochs=1", "--set", "training.max_steps_per_epoch=5", "--set", "training.refit=false")
DAY_S = 86_400
BEGIN = 1_704_067_200


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which a search was made."""
    made = make_home(tmp_path_factory.mktemp("blocked"))
    made.config.write_text(made.config.read_text() + SEARCH)
    done = made.almanac("tune", "-c", str(made.config), *WORDS)
    assert done.returncode == 0, done.stderr
    return made


def trials(home: LoadHome):
    return document(home.home / "tuning/load/trials.json")["trials"]


def test_two_workers_make_as_many_trials_as_were_asked_for(home: LoadHome) -> None:
    assert [(trial["number"], trial["outcome"]) for trial in trials(home)] == [(n, "scored") for n in range(3)]
    assert len({trial["settings"]["training.learning_rate"] for trial in trials(home)}) == 3


def test_two_trials_run_at_a_time(home: LoadHome) -> None:
    first, second, third = trials(home)
    ends = [trial["started"] + trial["duration_s"] for trial in (first, second)]
    assert second["started"] < ends[0]
    assert third["started"] > min(ends) - 0.2


def test_folds_are_at_the_ends_of_the_blocks_of_the_time_before_the_test_period(home: LoadHome) -> None:
    report = document(home.home / "tuning/load/trials.json")
    test_begins = BEGIN + (120 - 14) * DAY_S
    assert report["ends_before"] == test_begins
    assert report["folds"][-1] == [test_begins - 5 * DAY_S, test_begins]
    assert report["folds"][0] == [BEGIN + 48 * DAY_S, BEGIN + 53 * DAY_S]


def test_every_block_has_a_training_of_its_own(home: LoadHome) -> None:
    for trial in trials(home):
        first, second = trial["folds"]
        assert first["train_loss"] != second["train_loss"]
        assert trial["value"] == pytest.approx((first["value"] + second["value"]) / 2, rel=0.1)
