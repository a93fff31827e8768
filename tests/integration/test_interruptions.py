"""Killed, at once, on replicas: runs of the real command that do not go straight through."""

import json
import os
import signal
from dataclasses import dataclass

import pytest

from forecasting.contracts.steps import StepName
from forecasting.runs import list_runs
from tests.integration.load_home import (
    LoadHome,
    document,
    error_lines,
    half_written,
    make_home,
    result_lines,
    wait_until,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class InterruptedRun:
    """A run killed with its whole process group in the middle of training, and what came before and after."""

    home: LoadHome
    name: str
    code: int
    second: object
    half_written: list[str]
    listed: dict[str, str]
    shown: str
    resumed: object


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> InterruptedRun:
    home = make_home(tmp_path_factory.mktemp("interrupted"))
    words = ("run", "-c", str(home.config), "--to", "train_model", "--set", "training.max_epochs=8")
    process = home.start(*words)
    try:
        wait_until(lambda: bool(list_runs(home.layout)), process)
        second = home.almanac(*words)
        run = home.latest()
        wait_until(lambda: any((run.checkpoint(StepName.TRAIN_MODEL) / "fit").glob("state-*.npz")), process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    (listed,) = json.loads(home.almanac("runs", "list", "--json").stdout)
    return InterruptedRun(
        home=home,
        name=run.name,
        code=process.returncode,
        second=second,
        half_written=[name for name in half_written(run) if not name.startswith(".")],
        listed=listed,
        shown=home.almanac("runs", "show").stdout,
        resumed=home.almanac("run", "--resume", run.name),
    )


def test_a_second_run_of_the_same_model_at_once_is_told_to_try_again(interrupted):
    assert interrupted.second.returncode == 75
    (line,) = error_lines(interrupted.second)
    assert line.startswith("almanac: a run of 'load' is already going in ")
    assert line.endswith("; wait for it or stop it, then try again")


def test_a_run_killed_in_the_middle_of_training_is_shown_as_stopped(interrupted):
    assert interrupted.code == -signal.SIGKILL
    assert interrupted.listed["status"] == "stopped"
    assert "status   stopped" in interrupted.shown
    (training,) = [line.split() for line in interrupted.shown.splitlines() if line.startswith("train_model")]
    assert training[1] == "stopped"


def test_a_killed_run_leaves_no_step_directory_that_looks_finished(interrupted):
    assert interrupted.half_written == []


def test_resume_keeps_the_finished_steps_and_goes_on_in_the_middle_of_training(interrupted):
    assert interrupted.resumed.returncode == 0, interrupted.resumed.stderr
    said = result_lines(interrupted.resumed)
    assert list(said) == ["validate_data", "build_features", "train_model", "report_run"]
    assert said["validate_data"].startswith("done already: ")
    assert said["build_features"].startswith("done already: ")
    report = document(interrupted.home.layout.run(interrupted.name).step(StepName.TRAIN_MODEL) / "report.json")
    assert report["resumed_from_epoch"] >= 1
    assert report["n_epochs"] > report["resumed_from_epoch"]
    assert half_written(interrupted.home.layout.run(interrupted.name)) == []


def test_a_run_told_to_end_saves_its_training_exits_143_and_goes_on_in_the_epoch(tmp_path_factory):
    home = make_home(tmp_path_factory.mktemp("told"))
    settings = ("max_epochs=30", "patience=30", "checkpoint_every_s=600", "refit=false")
    words = [word for one in settings for word in ("--set", f"training.{one}")]
    process = home.start("run", "-c", str(home.config), "--to", "train_model", *words)
    wait_until(lambda: bool(list_runs(home.layout)), process)
    run = home.latest()
    fit = run.checkpoint(StepName.TRAIN_MODEL) / "fit"
    wait_until(lambda: any(fit.glob("state-*.npz")), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "--resume" in errors
    assert document(run.record)["status"] == "stopped"
    saved = int(max(path.stem.removeprefix("state-") for path in fit.glob("state-*.npz")))
    resumed = home.almanac("run", "--resume", run.name)
    assert resumed.returncode == 0, resumed.stderr
    report = document(run.step(StepName.TRAIN_MODEL) / "report.json")
    assert report["resumed_from_step"] == saved
    assert report["n_epochs"] == 30


def test_training_on_a_mirrored_strategy_says_two_replicas(interrupted):
    settings = ("training.strategy=mirrored", "training.max_epochs=1", "training.refit=false")
    done = interrupted.home.run("--to", "train_model", *(word for one in settings for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    assert result_lines(done)["train_model"].endswith("2 replicas")
    assert "ended after train_model, as asked" in done.stdout
