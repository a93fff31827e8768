"""`almanac gc`: what goes, what never does, and a home that a kill leaves whole."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.reporting.tracking.removals import removals
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.vocabulary import RunStatus
from forecasting.leases import model_lease, run_lease
from forecasting.repository import ModelRepository
from forecasting.runs import RunRecord, create_run, list_runs, load_run, run_name
from pipelines.cli import main
from pipelines.fits import backtest_home
from pipelines.initial.opening import PLACEHOLDER_GATES

DAY_S = 86_400
FIRST = 1_700_000_000.0
PAYLOAD = "x" * 1_000


@dataclass(frozen=True)
class Home:
    """A home with six runs and five versions of `toy`, and what it is called on the command line."""

    layout: HomeLayout
    config: Path

    def gc(self, *words: str) -> int:
        return main(["--home", str(self.layout.root), "gc", "-c", str(self.config), *words])

    def runs(self) -> list[str]:
        return sorted(layout.name for layout in list_runs(self.layout))


def _run(home: HomeLayout, number: int, *, model: str = "toy") -> str:
    created = FIRST + number * DAY_S
    layout = create_run(home, RunRecord(run_name(model, created), model, created, None, "0" * 64, RunStatus.SUCCEEDED))
    (layout.root / "train_model").mkdir()
    (layout.root / "train_model" / "weights").write_text(PAYLOAD + str(number))
    return layout.name


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Versions 1 to 5 came from runs 0 to 4; 3 is champion, 1 previous, 4 candidate. Keeps 2 runs and 2 versions."""
    layout = HomeLayout(tmp_path / "home")
    names = [_run(layout, number) for number in range(6)]
    repository = ModelRepository(layout.models)
    for number, name in enumerate(names[:5], start=1):
        source = tmp_path / str(number)
        source.mkdir()
        (source / "model.tflite").write_text(PAYLOAD + str(number))
        repository.publish("toy", source, {"run": name, "digest": f"digest {number}"})
    repository.promote("toy", 1)
    repository.promote("toy", 3)
    repository.set_candidate("toy", 4)
    config = tmp_path / "toy.yaml"
    retention = {"keep_runs": 1, "keep_versions": 2, "tracked": False}
    config.write_text(
        json.dumps(
            {
                "name": "toy",
                "gates": PLACEHOLDER_GATES,
                "compression": {"max_accuracy_loss": 0.02},
                "retention": retention,
            }
        )
    )
    return Home(layout, config)


def _names(*numbers: int) -> list[str]:
    return [run_name("toy", FIRST + number * DAY_S) for number in numbers]


def test_old_runs_and_versions_go_and_what_has_a_role_stays_with_the_run_it_came_from(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.gc() == 0
    shown = capsys.readouterr()
    assert home.runs() == _names(0, 2, 3, 5)
    repository = ModelRepository(home.layout.models)
    assert repository.versions("toy") == [1, 3, 4, 5]
    assert (repository.roles("toy").champion, repository.roles("toy").previous) == (3, 1)
    assert f"run {_names(2)[0]} stays: version 3, the champion, came from it" in shown.err
    assert f"run {_names(0)[0]} stays: version 1, the previous, came from it" in shown.err
    assert f"run {_names(3)[0]} stays: version 4, the candidate, came from it" in shown.err
    assert "3 removals freed" in shown.err
    assert not (home.layout.root / ".trash").exists()


def test_a_dry_run_lists_the_same_with_bytes_and_removes_nothing(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.gc("--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(found["kind"], found["name"]) for found in document["garbage"]] == [
        ("run", _names(4)[0]),
        ("run", _names(1)[0]),
        ("version", "2"),
    ]
    n_manifest_bytes = (home.layout.models / "toy" / "2" / "manifest.json").stat().st_size
    assert document["garbage"][2]["n_bytes"] == 1_001 + n_manifest_bytes
    assert document["freed_bytes"] == sum(found["n_bytes"] for found in document["garbage"])
    assert len(home.runs()) == 6
    assert ModelRepository(home.layout.models).versions("toy") == [1, 2, 3, 4, 5]


def test_bytes_of_a_file_that_has_a_link_elsewhere_are_not_freed(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    old = home.layout.run(_names(1)[0]).root / "train_model" / "weights"
    os.link(old, home.layout.run(_names(5)[0]).root / "train_model" / "kept")
    assert home.gc("--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["freed_bytes"] == sum(found["n_bytes"] for found in document["garbage"]) - 1_001


def test_young_runs_stay_where_the_policy_says_for_how_long(home: Home) -> None:
    assert home.gc("--set", "retention.keep_for=36500d") == 0
    assert home.runs() == _names(0, 1, 2, 3, 4, 5)


def test_runs_of_other_models_and_runs_that_are_going_stay(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    other = _run(home.layout, 0, model="other")
    with run_lease(home.layout.run(_names(1)[0])):
        assert home.gc() == 0
    assert f"run {_names(1)[0]} stays: it is going" in capsys.readouterr().err
    assert home.runs() == sorted([*_names(0, 1, 2, 3, 5), other])


def test_while_a_run_of_the_model_is_going_nothing_is_collected_and_that_is_said(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with model_lease(home.layout, "toy"):
        assert home.gc() == 75
    assert "a run of 'toy' is already going" in capsys.readouterr().err
    assert len(home.runs()) == 6


def test_fits_of_backtests_go_by_their_age(home: Home) -> None:
    fits = backtest_home(home.layout)
    _run(fits, 0)
    assert home.gc("--set", "retention.keep_fits_for=36500d") == 0
    assert len(list_runs(fits)) == 1
    assert home.gc() == 0
    assert list_runs(fits) == []


KILLER = """
import os, shutil, signal, sys
from pipelines import collecting
from pipelines.cli import main
def kill(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGKILL)
name = sys.argv[1]
owner, _, function = name.rpartition(".")
target = {"": collecting, "shutil": shutil, "repository": collecting.ModelRepository}[owner]
setattr(target, function, kill)
main(sys.argv[2:])
"""


@pytest.mark.parametrize("place", ["note_removals", "shutil.rmtree", "repository.prune"])
def test_a_kill_in_the_middle_leaves_a_home_that_the_next_collection_finishes(home: Home, place: str) -> None:
    words = ["--home", str(home.layout.root), "gc", "-c", str(home.config), "--set", "retention.tracked=true"]
    killed = subprocess.run([sys.executable, "-c", KILLER, place, *words], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    for layout in list_runs(home.layout):
        assert (layout.root / "train_model" / "weights").is_file()
        assert load_run(layout).model == "toy"
    repository = ModelRepository(home.layout.models)
    assert all(
        (repository.version_dir("toy", number) / "model.tflite").is_file() for number in repository.versions("toy")
    )
    if place != "note_removals":
        assert removals(home.layout)["toy"].runs == tuple(_names(4, 1))

    assert home.gc() == 0
    assert home.runs() == _names(0, 2, 3, 5)
    assert repository.versions("toy") == [1, 3, 4, 5]
    assert not (home.layout.root / ".trash").exists()
