"""The real graph, runner, cache and records with stand-in steps: which steps run, and what is written down."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.manifests import load_manifest
from tests.contract.golden_home import GoldenHome, make_golden_home

ALL_SUCCEEDED = {step.value: "succeeded" for step in steps_of()}
ALL_REUSED = {**{step.value: "reused" for step in steps_of()}, "report_run": "succeeded"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text("timestamp,load\n2026-01-01,1\n")
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, table: Path) -> tuple[GoldenHome, str]:
    home = make_golden_home(tmp_path_factory.mktemp("first"), table)
    done = home.run()
    assert done.returncode == 0, done.stderr
    return home, done.stderr


@pytest.fixture
def fresh(tmp_path: Path, table: Path) -> GoldenHome:
    return make_golden_home(tmp_path / "fresh", table)


@pytest.fixture
def finished(tmp_path: Path, first: tuple[GoldenHome, str]) -> GoldenHome:
    """A copy of a home in which one run succeeded."""
    return GoldenHome(Path(shutil.copytree(first[0].folder, tmp_path / "finished")))


def _latest(home: GoldenHome) -> RunLayout:
    return home.layout.run(home.latest().run)


def test_a_run_does_every_step_in_order_and_shows_one_result_line_each(first: tuple[GoldenHome, str]) -> None:
    home, shown = first
    assert home.states() == ALL_SUCCEEDED
    results = [line.split()[1] for line in shown.splitlines() if line.startswith("[") and not line.endswith("…")]
    assert results == [step.value for step in steps_of()]
    assert home.deployment()["version"] == 1


def test_every_output_has_a_manifest_that_names_what_it_was_made_from(first: tuple[GoldenHome, str]) -> None:
    run = _latest(first[0])
    evaluated = load_manifest(run.step(StepName.EVALUATE_MODEL))
    assert evaluated.parents == {
        "validate_data": load_manifest(run.step(StepName.VALIDATE_DATA)).payload_digest,
        "train_model": load_manifest(run.step(StepName.TRAIN_MODEL)).payload_digest,
    }


def test_what_libraries_print_goes_to_the_log_of_the_step_and_not_to_the_terminal(
    first: tuple[GoldenHome, str],
) -> None:
    home, shown = first
    assert "stand-in train_model prints" not in shown
    assert "stand-in train_model prints" in _latest(home).log(StepName.TRAIN_MODEL).read_text()


def test_an_unchanged_second_run_reuses_every_step_and_says_so(finished: GoldenHome) -> None:
    origin = finished.latest().run
    done = finished.run()
    assert done.returncode == 0
    assert finished.states() == ALL_REUSED
    assert done.stderr.count(f"unchanged, reused from {origin}") == 8
    assert "version 1 is champion already" in done.stdout


def test_the_command_that_serves_holds_the_home_and_the_settings_of_the_run(finished: GoldenHome) -> None:
    words = ("run", "-c", str(finished.config))
    plain = finished.almanac("--home", str(finished.layout.root), *words)
    assert plain.stdout.splitlines()[-1] == f"serve    almanac --home {finished.layout.root} serve -c {finished.config}"
    changed = finished.almanac(*words, "--set", "serving.gateway_port=8090")
    assert changed.stdout.splitlines()[-1] == f"serve    almanac serve -c {_latest(finished).config}"


TUNED = ("--set", "tuning.in_run=true")


def test_a_run_with_a_search_does_it_before_the_training_and_reuses_it_as_any_step(fresh: GoldenHome) -> None:
    done = fresh.run(*TUNED)
    assert done.returncode == 0, done.stderr
    assert list(fresh.states()) == [step.value for step in StepName]
    assert set(fresh.states().values()) == {"succeeded"}
    assert "[10/10] report_run" in done.stderr
    parents = load_manifest(_latest(fresh).step(StepName.TRAIN_MODEL)).parents
    assert set(parents) == {"build_features", "tune_model"}
    assert fresh.run(*TUNED).returncode == 0
    assert fresh.states()["tune_model"] == fresh.states()["train_model"] == "reused"
    assert fresh.run(*TUNED, "--set", "tuning.n_trials=9").returncode == 0
    assert (fresh.states()["build_features"], fresh.states()["tune_model"]) == ("reused", "succeeded")
    explained = json.loads(fresh.almanac("cache", "explain", "-c", str(fresh.config), *TUNED, "--json").stdout)
    assert {report["step"]: report["reasons"] for report in explained}["tune_model"] == [
        "setting tuning.n_trials: 9 → 35"
    ]


def test_a_search_that_failed_is_done_again_alone_before_the_training_may_run(fresh: GoldenHome) -> None:
    assert fresh.run(*TUNED, wish="tune_model=crash").returncode == 1
    done = fresh.almanac("step", "train_model")
    assert (done.returncode, "train_model reads what tune_model wrote" in done.stderr) == (2, True)
    assert fresh.almanac("step", "tune_model").returncode == 0
    assert fresh.almanac("step", "train_model").returncode == 0


def test_a_run_without_a_search_has_no_such_step(finished: GoldenHome) -> None:
    for words in (("run", "-c", str(finished.config), "--to", "tune_model"), ("step", "tune_model")):
        done = finished.almanac(*words)
        assert (done.returncode, "no step tune_model" in done.stderr) == (2, True), done.stderr


def test_a_changed_training_setting_runs_training_and_what_follows_from_it(finished: GoldenHome) -> None:
    assert finished.run("--set", "training.max_epochs=3").returncode == 0
    assert finished.states() == {**ALL_SUCCEEDED, "validate_data": "reused", "build_features": "reused"}
    assert finished.deployment()["version"] == 2


def test_another_cutoff_runs_the_steps_again(finished: GoldenHome) -> None:
    assert finished.run("--cutoff", "2026-01-01T00:00+00:00", "--to", "build_features").returncode == 0
    assert finished.states() == {"validate_data": "succeeded", "build_features": "succeeded", "report_run": "succeeded"}
    assert finished.latest().cutoff == "2026-01-01T00:00:00+00:00"


def test_an_altered_output_of_an_earlier_run_is_not_reused(finished: GoldenHome) -> None:
    payload = _latest(finished).step(StepName.BUILD_FEATURES) / "payload.json"
    payload.write_text(payload.read_text() + " ")
    assert finished.run("--to", "build_features").returncode == 0
    assert finished.states() == {"validate_data": "reused", "build_features": "succeeded", "report_run": "succeeded"}


def test_after_a_rollback_the_same_model_is_deployed_again(finished: GoldenHome) -> None:
    assert finished.run("--set", "training.max_epochs=3").returncode == 0
    assert finished.almanac("models", "rollback", "toy").returncode == 0
    assert finished.run("--set", "training.max_epochs=3").returncode == 0
    assert finished.states()["deploy_model"] == "succeeded"
    assert finished.deployment()["version"] == 3


def test_a_refusal_is_reused_like_any_other_result(fresh: GoldenHome) -> None:
    first = fresh.run(wish="validate_data=refuse")
    assert (first.returncode, "validate_data said refuse" in first.stdout) == (3, True)
    done = fresh.run()
    assert done.returncode == 3
    assert "unchanged, refused as in" in done.stderr


def test_a_refused_model_leaves_the_champion_alone(finished: GoldenHome) -> None:
    done = finished.run("--set", "training.max_epochs=3", wish="evaluate_model=refuse")
    assert done.returncode == 4
    assert "not promoted" in done.stdout
    models = json.loads(finished.almanac("models", "list", "--json").stdout)
    assert models == [{"model": "toy", "versions": [1], "champion": 1, "candidate": None, "previous": None}]


def test_a_crash_is_written_down_with_its_cause_and_the_report_still_runs(fresh: GoldenHome) -> None:
    done = fresh.run(wish="train_model=crash")
    assert done.returncode == 1
    assert list(fresh.states()) == ["validate_data", "build_features", "train_model", "report_run"]
    failed = fresh.latest().steps[StepName.TRAIN_MODEL]
    assert (failed.error_type, failed.error) == ("ZeroDivisionError", "division by zero in a step")
    assert "Traceback" in _latest(fresh).log(StepName.TRAIN_MODEL).read_text()
    assert "Traceback" not in done.stderr
    assert not _latest(fresh).step(StepName.TRAIN_MODEL).exists()


@pytest.mark.parametrize(
    ("wish", "code", "line"),
    [
        ("data", 3, "almanac: train_model: table.csv: column 'target' is missing"),
        ("retry", 75, "almanac: train_model failed: the tracking server is restarting; `almanac run --resume"),
        (
            "die",
            137,
            "almanac: train_model failed: the process of train_model was killed, probably for its memory: it may have ",
        ),
    ],
)
def test_an_expected_failure_is_one_line_with_its_own_exit_code(
    fresh: GoldenHome, wish: str, code: int, line: str
) -> None:
    done = fresh.run("--to", "train_model", wish=f"train_model={wish}")
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith(line)


def test_a_step_that_is_killed_is_done_once_more_in_the_same_run(fresh: GoldenHome) -> None:
    done = fresh.run("--to", "train_model", wish="train_model=die_once")
    assert done.returncode == 0, done.stderr
    said = "once more: the process of train_model was killed, probably for its memory: it may have "
    assert sum(said in line for line in done.stderr.splitlines()) == 1
    assert said.removeprefix("once more: ") in _latest(fresh).log(StepName.TRAIN_MODEL).read_text()


@pytest.mark.parametrize(("wish", "n_attempts"), [("die", 2), ("retry", 1), ("data", 1), ("crash", 1)])
def test_a_step_is_tried_twice_where_it_was_killed_and_once_where_it_failed_by_itself(
    fresh: GoldenHome, wish: str, n_attempts: int
) -> None:
    assert fresh.run("--to", "train_model", wish=f"train_model={wish}").returncode != 0
    log = _latest(fresh).log(StepName.TRAIN_MODEL).read_text()
    assert log.count("stand-in train_model prints") == n_attempts


def test_resume_keeps_what_was_finished_before_the_process_was_killed(fresh: GoldenHome) -> None:
    assert fresh.run("--to", "compress_model", wish="compress_model=die").returncode == 137
    run = fresh.latest().run
    trained = (fresh.layout.run(run).step(StepName.TRAIN_MODEL) / "payload.json").stat().st_mtime_ns
    done = fresh.almanac("run", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert fresh.latest().run == run
    assert fresh.states()["compress_model"] == "succeeded"
    assert "deploy_model" not in fresh.states()
    assert done.stderr.count("done already") == 4
    assert (fresh.layout.run(run).step(StepName.TRAIN_MODEL) / "payload.json").stat().st_mtime_ns == trained


def test_a_resumed_run_that_is_refused_says_so_and_not_how_its_first_attempt_failed(fresh: GoldenHome) -> None:
    assert fresh.run(wish="compress_model=crash").returncode == 1
    (_latest(fresh).step(StepName.EVALUATE_MODEL) / "payload.json").write_text("damaged")
    done = fresh.almanac("run", "--resume", "latest", wish="evaluate_model=refuse")
    assert done.returncode == 4, done.stderr
    record = fresh.latest()
    assert (record.status, record.refused_by) == (RunStatus.REFUSED, StepName.EVALUATE_MODEL)
    assert "compress_model" not in fresh.states()


def _start_and_wait_for(home: GoldenHome, step: str):
    process = home.start("--to", "train_model", wish=f"{step}=hang")
    assert process.stderr is not None
    for line in process.stderr:
        if f"] {step}" in line:
            return process
    raise AssertionError(f"the run ended before {step}")


@contextlib.contextmanager
def _hanging(home: GoldenHome, step: str):
    process = _start_and_wait_for(home, step)
    log = None
    while log is None or f"stand-in {step} prints" not in log.read_text():
        assert process.poll() is None, f"the run ended before {step} was waiting"
        log = next(iter(home.layout.runs.glob(f"*/logs/{step}.log")), None)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_answers_143_and_can_be_resumed(fresh: GoldenHome, number: signal.Signals) -> None:
    with _hanging(fresh, "train_model") as process:
        process.send_signal(number)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 143
    record = fresh.latest()
    assert (record.status, record.steps[StepName.TRAIN_MODEL].status) == (RunStatus.STOPPED, RunStatus.STOPPED)
    assert record.steps[StepName.REPORT_RUN].status == RunStatus.SUCCEEDED
    assert f"almanac run --resume {record.run}" in shown
    assert fresh.almanac("run", "--resume", "latest").returncode == 0
    assert fresh.latest().status == RunStatus.SUCCEEDED


def test_a_second_run_of_the_same_model_at_once_is_told_to_try_again(fresh: GoldenHome) -> None:
    with _hanging(fresh, "validate_data"):
        done = fresh.run()
        assert done.returncode == 75
        assert "a run of 'toy' is already going" in done.stderr
        assert fresh.almanac("runs", "stop").returncode == 0


def test_stopping_a_run_that_was_killed_says_what_it_is_and_signals_nobody(fresh: GoldenHome) -> None:
    with _hanging(fresh, "train_model") as process:
        step = fresh.latest().steps[StepName.TRAIN_MODEL].process
        process.kill()
        assert step is not None
        os.kill(step, signal.SIGKILL)
        process.wait(timeout=60)
    done = fresh.almanac("runs", "stop")
    assert done.returncode == 2
    assert done.stderr.endswith("is not going; it is stopped\n")
    (listed,) = json.loads(fresh.almanac("runs", "list", "--json").stdout)
    assert (listed["status"], listed["steps"][-1]["status"]) == ("stopped", "stopped")


def test_resume_with_another_configuration_is_refused(finished: GoldenHome) -> None:
    done = finished.run("--resume", "latest", "--set", "training.max_epochs=3")
    assert done.returncode == 2
    assert "had another configuration" in done.stderr


def test_force_runs_a_step_again_although_nothing_changed(finished: GoldenHome) -> None:
    assert finished.run("--force", "train_model").returncode == 0
    assert finished.states() == {**ALL_REUSED, "train_model": "succeeded"}


def test_from_and_to_run_a_part_again(finished: GoldenHome) -> None:
    assert finished.run("--from", "train_model", "--to", "evaluate_model").returncode == 0
    assert finished.states() == {
        "validate_data": "reused",
        "build_features": "reused",
        "train_model": "succeeded",
        "evaluate_model": "succeeded",
        "report_run": "succeeded",
    }


def test_explain_says_that_all_is_unchanged_and_names_a_changed_setting(finished: GoldenHome) -> None:
    unchanged = json.loads(finished.almanac("cache", "explain", "--json").stdout)
    assert [report["step"] for report in unchanged if not report["reused"]] == ["report_run"]
    changed = finished.almanac(
        "cache", "explain", "-c", str(finished.config), "--set", "training.max_epochs=3", "--json"
    )
    reasons = {report["step"]: report["reasons"] for report in json.loads(changed.stdout)}
    assert reasons["train_model"] == ["setting training.max_epochs: 10 → 3"]
    assert reasons["evaluate_model"] == ["train_model would run again"]
    assert reasons["build_features"] == []


def test_a_step_runs_alone_in_the_calling_process(finished: GoldenHome) -> None:
    done = finished.almanac("step", "train_model")
    assert done.returncode == 0, done.stderr
    assert "stand-in train_model prints" in done.stdout


def test_a_run_of_which_a_step_was_done_again_is_as_far_as_its_steps_are(fresh: GoldenHome) -> None:
    assert fresh.run().returncode == 0
    done = fresh.almanac("step", "train_model")
    run = fresh.latest()
    assert (run.status.value, run.exit_code) == ("stopped", 143)
    assert f"run {run.run} is not complete now; `almanac run --resume {run.run}` does the steps after" in done.stderr
    assert fresh.almanac("step", "evaluate_model", wish="evaluate_model=refuse").returncode == 4
    run = fresh.latest()
    assert (run.status.value, run.exit_code, run.refused_by) == ("refused", 4, "evaluate_model")
    assert fresh.almanac("step", "evaluate_model", wish="evaluate_model=crash").returncode == 1
    run = fresh.latest()
    assert (run.status.value, run.refused_by, run.reason) == ("failed", None, None)
    assert fresh.almanac("run", "--resume", run.run).returncode == 0
    assert fresh.latest().status.value == "succeeded"
    assert fresh.almanac("step", "deploy_model").returncode == 0
    run = fresh.latest()
    assert (run.status.value, run.exit_code) == ("succeeded", 0)


def test_a_step_whose_parent_never_ran_is_refused(fresh: GoldenHome) -> None:
    fresh.run("--to", "validate_data")
    done = fresh.almanac("step", "train_model")
    assert done.returncode == 2
    assert "train_model reads what build_features wrote" in done.stderr


def test_a_step_alone_does_not_go_round_a_gate_that_said_no(fresh: GoldenHome) -> None:
    assert fresh.run(wish="validate_serving=refuse").returncode == 4
    before = fresh.states()
    done = fresh.almanac("step", "deploy_model")
    assert done.returncode == 2
    assert "deploy_model may not run: validate_serving refused" in done.stderr
    assert fresh.states() == before
    assert not fresh.layout.models.exists()
