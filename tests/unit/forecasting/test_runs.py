"""Run records: names, status, exit codes, and what becomes of steps that were killed."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.leases import (
    effective_run,
    model_lease,
    run_is_going,
    run_lease,
    signal_steps,
    step_is_going,
    step_lease,
)
from forecasting.runs import (
    RunRecord,
    StepRecord,
    create_run,
    find_run,
    finish_run,
    forget_later_steps,
    forget_unfinished_steps,
    list_runs,
    load_run,
    refuse_run,
    request_stop,
    run_name,
    write_step,
)


@pytest.fixture
def home(tmp_path: Path) -> HomeLayout:
    return HomeLayout(tmp_path)


def _create(home: HomeLayout, name: str = "20260101T000000Z-toy") -> RunLayout:
    return create_run(home, RunRecord(name, "toy", 0.0, None, "digest"))


def _step(step: StepName, status: RunStatus, exit_code: int | None = None) -> StepRecord:
    return StepRecord(step, status, started=1.0, summary=f"{step} {status}", exit_code=exit_code, process=4321)


def test_the_name_of_a_run_is_its_time_in_utc_and_its_model() -> None:
    assert run_name("electricity", 1_795_244_400.0) == "20261121T070000Z-electricity"


def test_a_name_that_is_taken_gets_a_number(home: HomeLayout) -> None:
    assert [_create(home).name for _ in range(3)] == [
        "20260101T000000Z-toy",
        "20260101T000000Z-toy-2",
        "20260101T000000Z-toy-3",
    ]


def test_runs_are_listed_newest_first_also_beyond_nine_in_a_second(home: HomeLayout) -> None:
    for _ in range(11):
        _create(home)
    _create(home, "20251231T000000Z-toy")
    names = [run.name for run in list_runs(home)]
    assert names[:2] == ["20260101T000000Z-toy-11", "20260101T000000Z-toy-10"]
    assert names[-1] == "20251231T000000Z-toy"


def test_a_record_reads_back_as_it_was_written(home: HomeLayout) -> None:
    record = RunRecord(
        "20260101T000000Z-toy", "toy", 1.5, "2026-01-01T00:00:00+00:00", "digest",
        last_step=StepName.TRAIN_MODEL, forced=(StepName.TRAIN_MODEL,), process=7,
    )  # fmt: skip
    run = create_run(home, record)
    assert load_run(run) == record


def test_all_steps_done_is_success_and_zero(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED))
    done = finish_run(run)
    assert (done.status, done.exit_code) == (RunStatus.SUCCEEDED, 0)


@pytest.mark.parametrize(("gate", "code"), [(StepName.VALIDATE_DATA, 3), (StepName.VALIDATE_SERVING, 4)])
def test_a_refusal_names_its_gate_and_reason(home: HomeLayout, gate: StepName, code: int) -> None:
    run = _create(home)
    write_step(run, _step(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED))
    write_step(run, _step(gate, RunStatus.REFUSED))
    refuse_run(run, gate)
    assert load_run(run).reason == f"{gate} refused"
    done = finish_run(run)
    assert (done.status, done.refused_by, done.exit_code) == (RunStatus.REFUSED, gate, code)


def test_a_run_that_ends_without_its_last_step_and_without_an_error_is_a_failure(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED))
    done = finish_run(run)
    assert (done.status, done.exit_code) == (RunStatus.FAILED, 1)


def test_a_step_that_still_runs_at_the_end_was_killed(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.TRAIN_MODEL, RunStatus.RUNNING))
    done = finish_run(run)
    assert (done.status, done.exit_code) == (RunStatus.FAILED, 137)
    assert load_run(run).steps[StepName.TRAIN_MODEL].error == (
        "the process of train_model was killed, probably for its memory"
    )


def test_a_killed_step_is_told_with_the_memory_that_it_may_have(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, replace(_step(StepName.TRAIN_MODEL, RunStatus.RUNNING), memory_limit_bytes=4 * 10**9))
    assert (finish_run(run).steps[StepName.TRAIN_MODEL].error or "").endswith("for its memory: it may have 4.00 GB")


def test_a_killed_step_of_a_run_that_was_asked_to_stop_is_stopped(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.TRAIN_MODEL, RunStatus.RUNNING))
    request_stop(run)
    assert finish_run(run).exit_code == 143


def test_a_failed_report_does_not_make_a_deployed_run_fail(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED))
    write_step(run, _step(StepName.REPORT_RUN, RunStatus.FAILED, exit_code=1))
    done = finish_run(run)
    assert (done.status, done.exit_code) == (RunStatus.SUCCEEDED, 0)


def test_a_failed_report_does_not_hide_why_the_run_was_refused(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.VALIDATE_DATA, RunStatus.REFUSED))
    write_step(run, _step(StepName.REPORT_RUN, RunStatus.FAILED, exit_code=1))
    done = finish_run(run)
    assert (done.status, done.exit_code) == (RunStatus.REFUSED, 3)


def test_steps_after_one_that_is_done_anew_are_forgotten_with_their_outputs(home: HomeLayout) -> None:
    run = _create(home)
    for step in (StepName.VALIDATE_DATA, StepName.BUILD_FEATURES, StepName.TRAIN_MODEL):
        write_step(run, _step(step, RunStatus.SUCCEEDED))
        run.step(step).mkdir()
    forget_later_steps(run, StepName.BUILD_FEATURES)
    assert list(load_run(run).steps) == [StepName.VALIDATE_DATA, StepName.BUILD_FEATURES]
    assert run.step(StepName.BUILD_FEATURES).is_dir()
    assert not run.step(StepName.TRAIN_MODEL).exists()


def test_a_resumed_run_forgets_steps_that_failed_or_were_stopped(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED))
    write_step(run, _step(StepName.EVALUATE_MODEL, RunStatus.REFUSED))
    write_step(run, _step(StepName.COMPRESS_MODEL, RunStatus.FAILED, exit_code=1))
    write_step(run, _step(StepName.EVALUATE_COMPRESSED, RunStatus.STOPPED, exit_code=143))
    forget_unfinished_steps(run)
    assert list(load_run(run).steps) == [StepName.VALIDATE_DATA, StepName.EVALUATE_MODEL]


def test_a_run_is_found_by_the_beginning_of_its_name(home: HomeLayout) -> None:
    _create(home, "20260101T000000Z-toy")
    _create(home, "20260202T000000Z-toy")
    assert find_run(home, "202601").name == "20260101T000000Z-toy"
    assert find_run(home, "latest").name == "20260202T000000Z-toy"


@pytest.mark.parametrize(
    ("name", "message"), [("2026", "begins the names of 2 runs"), ("2027", "there is no run '2027'")]
)
def test_a_name_that_fits_none_or_several_runs_is_refused(home: HomeLayout, name: str, message: str) -> None:
    _create(home, "20260101T000000Z-toy")
    _create(home, "20260202T000000Z-toy")
    with pytest.raises(ConfigError, match=message):
        find_run(home, name)


def test_a_damaged_record_is_named(home: HomeLayout) -> None:
    run = _create(home)
    run.record.write_text('{"run": "x"')
    with pytest.raises(ArtifactError, match=r"run\.json cannot be read"):
        load_run(run)


def test_one_run_of_a_model_at_a_time_and_another_model_beside_it(home: HomeLayout) -> None:
    with (
        model_lease(home, "toy"),
        model_lease(home, "other"),
        pytest.raises(RetryableError, match="a run of 'toy' is already going"),
        model_lease(home, "toy"),
    ):
        pass


def test_a_run_is_going_while_a_process_holds_its_own_lease(home: HomeLayout) -> None:
    killed, going = _create(home), _create(home)
    with model_lease(home, "toy"), run_lease(going):
        assert (run_is_going(going), run_is_going(killed)) == (True, False)
        assert effective_run(going).status == RunStatus.RUNNING
        assert effective_run(killed).status == RunStatus.STOPPED
    assert not run_is_going(going)


def test_a_killed_step_is_stopped_also_in_a_run_that_is_over(home: HomeLayout) -> None:
    run = _create(home)
    write_step(run, _step(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED))
    write_step(run, _step(StepName.REPORT_RUN, RunStatus.RUNNING))
    with step_lease(run, StepName.REPORT_RUN):
        assert effective_run(run).steps[StepName.REPORT_RUN].status == RunStatus.RUNNING
    assert effective_run(run).steps[StepName.REPORT_RUN].status == RunStatus.STOPPED


def test_only_processes_that_hold_the_lease_of_a_step_get_signals(home: HomeLayout) -> None:
    got: list[int] = []
    run = _create(home)
    # 4321 is what a killed run left behind; another program may have that number by now.
    write_step(run, _step(StepName.TRAIN_MODEL, RunStatus.RUNNING))
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: got.append(number))
    try:
        assert signal_steps(run, signal.SIGUSR1) == []
        with step_lease(run, StepName.TRAIN_MODEL):
            assert signal_steps(run, signal.SIGUSR1, only=[1]) == []
            assert signal_steps(run, signal.SIGUSR1) == [os.getpid()]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == [signal.SIGUSR1]


def test_a_process_of_another_host_that_holds_a_lease_gets_no_signal(home: HomeLayout) -> None:
    run = _create(home)
    with step_lease(run, StepName.TRAIN_MODEL):
        # As a pod that shares the volume writes it: its number is that of any process here.
        (run.root / "steps" / ".train_model.lease").write_text(f"{os.getpid()} almanac-toy-x7k2p/pid:[4026532270]")
        assert signal_steps(run, signal.SIGKILL) == []
        assert step_is_going(run, StepName.TRAIN_MODEL)


def test_looking_at_a_lease_takes_nothing_from_it(home: HomeLayout) -> None:
    run = _create(home)
    with run_lease(run):
        pass
    assert not run_is_going(run)
    assert (run.root / ".lease").read_text().split()[0] == str(os.getpid())
