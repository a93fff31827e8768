"""`almanac tune` stage by stage, as a user types it: tables, finalists over seeds, the winner in a file, the page."""

import pytest

from forecasting.config import load_config
from tests.integration.load_home import LoadHome, document, make_home

pytestmark = pytest.mark.slow

SPACE = """\
tuning:
  flow: staged
  n_trials: 1
  folds: 1
  finalists: 1
  finalist_seeds: 2
  space:
    training.l2: {choices: [0.0, 0.001]}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which a staged search was made."""
    made = make_home(tmp_path_factory.mktemp("staged"))
    made.config.write_text(made.config.read_text() + SPACE)
    done = made.almanac(
        "tune", "-c", str(made.config), "--set", "training.max_epochs=2", "--set", "training.refit=false"
    )
    assert done.returncode == 0, done.stderr
    (made.folder / "printed.txt").write_text(done.stdout)
    return made


def test_stages_are_made_one_after_another(home: LoadHome) -> None:
    trials = document(home.home / "tuning/load/trials.json")["trials"]
    stages = [trial["stage"] for trial in trials]
    assert stages == ["baseline", "one at a time", "joint", "finalist"]
    assert (trials[1]["path"], trials[1]["settings"]["training.l2"]) == ("training.l2", 0.001)
    assert (trials[3]["seed"], trials[0]["seed"]) == (2, None)
    assert all(fold["pattern"] for trial in trials if trial["value"] for fold in trial["folds"])


def test_the_winner_was_trained_with_two_seeds_and_says_so_in_the_file(home: LoadHome) -> None:
    report = document(home.home / "tuning/load/trials.json")
    (winner,) = report["finalists"]
    assert len(winner["values"]) == 2
    assert winner["values"][0] != winner["values"][1]
    assert report["best"] == winner["trial"]
    written = (home.folder / "load.tuned.yaml").read_text()
    assert "over 2 seeds, trial" in written
    best = next(trial for trial in report["trials"] if trial["number"] == winner["trial"])
    assert load_config(home.folder / "load.tuned.yaml").training.l2 == best["settings"]["training.l2"]


def test_tables_are_printed_and_on_the_page(home: LoadHome) -> None:
    printed = (home.folder / "printed.txt").read_text()
    assert "GAP" in printed
    assert "FINALIST" in printed
    assert "One at a time" in (home.home / "tuning/load/tuning.html").read_text()
