"""One step: inputs verified, output whole or not at all, record and log always."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from forecasting.cache import load_key
from forecasting.config.root import STEP_SETTINGS, StepSettings
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ArtifactError, ConfigError, DataError, RetryableError, StoppedError
from forecasting.execution import execute_step, hand_over, run_component
from forecasting.leases import step_lease
from forecasting.manifests import load_manifest
from forecasting.runs import RunRecord, create_run, load_step, request_stop
from forecasting.steps import StepContext, StepOutcome


class WritingStep:
    """Writes one file and remembers how often it was called."""

    def __init__(self, text: str = "series", passed: bool = True, reusable: bool = True) -> None:
        self.text, self.passed, self.reusable, self.calls = text, passed, reusable, 0

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        self.calls += 1
        assert not list(output.iterdir())
        (output / "payload.txt").write_text(self.text)
        return StepOutcome(self.passed, "wrote one file", self.reusable)


class FailingStep:
    """Writes half of its output, then raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        (output / "half.txt").write_text("half")
        raise self.error


@pytest.fixture
def home(tmp_path: Path) -> HomeLayout:
    return HomeLayout(tmp_path / "home")


def _new_run(home: HomeLayout) -> RunLayout:
    return create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))


def _settings(step: StepName, **values: object) -> str:
    without = ("name", "gates", "compression", "observations")
    sections = {name: {} for name in STEP_SETTINGS[step].model_fields if name not in without}
    return json.dumps({"name": "toy", **sections, **values})


def _execute(home: HomeLayout, run: RunLayout, function, step: StepName = StepName.VALIDATE_DATA, **values) -> bool:
    inputs = values.pop("inputs", {})
    return execute_step(
        step, function, _settings(step, **values), inputs, home=str(home.root), run=run.name, cutoff="", capture=False
    )


def test_a_finished_step_has_a_manifest_a_record_and_no_temporary_directory(home: HomeLayout) -> None:
    run = _new_run(home)
    assert _execute(home, run, WritingStep())
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert (record.status, record.summary, record.reused) == (RunStatus.SUCCEEDED, "wrote one file", False)
    assert record.peak_rss_bytes > 1_000_000
    assert load_manifest(run.step(StepName.VALIDATE_DATA)).cache_key == record.cache_key
    assert not list(run.root.glob(".*partial"))


def test_a_gate_that_says_no_is_recorded_as_refused_and_keeps_its_output(home: HomeLayout) -> None:
    run = _new_run(home)
    assert not _execute(home, run, WritingStep(passed=False))
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert record.status == RunStatus.REFUSED
    assert (run.step(StepName.VALIDATE_DATA) / "payload.txt").is_file()


def test_a_failing_step_leaves_no_output_and_its_cause_in_the_record(home: HomeLayout) -> None:
    run = _new_run(home)
    with pytest.raises(DataError, match="line 7"):
        _execute(home, run, FailingStep(DataError("table.csv line 7:\n no time stamp")))
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert (record.status, record.error_type, record.error, record.exit_code) == (
        RunStatus.FAILED,
        "DataError",
        "table.csv line 7: no time stamp",
        3,
    )
    assert not run.step(StepName.VALIDATE_DATA).exists()
    assert not list(run.root.glob(".*partial"))


def test_a_bug_is_recorded_with_its_type_and_its_traceback_is_in_the_log(home: HomeLayout) -> None:
    run = _new_run(home)
    with pytest.raises(ZeroDivisionError):
        execute_step(
            StepName.VALIDATE_DATA, FailingStep(ZeroDivisionError("by zero")), _settings(StepName.VALIDATE_DATA), {},
            home=str(home.root), run=run.name, cutoff="",
        )  # fmt: skip
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert (record.error_type, record.exit_code) == ("ZeroDivisionError", 1)
    assert "Traceback" in run.log(StepName.VALIDATE_DATA).read_text()


def test_an_equal_step_of_an_earlier_run_is_taken_over_without_a_call(home: HomeLayout) -> None:
    first, second = _new_run(home), _new_run(home)
    _execute(home, first, WritingStep())
    again = WritingStep()
    assert _execute(home, second, again)
    assert again.calls == 0
    record = load_step(second, StepName.VALIDATE_DATA)
    assert record is not None
    assert record.reused_from == first.name
    assert (second.step(StepName.VALIDATE_DATA) / "payload.txt").read_text() == "series"


def test_a_reused_step_names_the_run_that_did_the_work(home: HomeLayout) -> None:
    runs = [_new_run(home) for _ in range(3)]
    for run in runs:
        _execute(home, run, WritingStep())
    record = load_step(runs[2], StepName.VALIDATE_DATA)
    assert record is not None
    assert record.reused_from == runs[0].name


def test_another_setting_runs_the_step_again(home: HomeLayout) -> None:
    _execute(home, _new_run(home), WritingStep())
    again = WritingStep()
    _execute(home, _new_run(home), again, split={"validation": "7d", "test": "7d"})
    assert again.calls == 1


def test_a_failed_step_is_never_reused(home: HomeLayout) -> None:
    with pytest.raises(DataError):
        _execute(home, _new_run(home), FailingStep(DataError("no")))
    again = WritingStep()
    _execute(home, _new_run(home), again)
    assert again.calls == 1


@pytest.mark.parametrize("passed", [True, False])
def test_a_result_that_hung_on_passing_conditions_is_not_taken_over(home: HomeLayout, passed: bool) -> None:
    _execute(home, _new_run(home), WritingStep(passed=passed, reusable=False))
    again = WritingStep()
    assert _execute(home, _new_run(home), again)
    assert again.calls == 1


@pytest.mark.parametrize(("passed", "calls"), [(True, 0), (False, 1)])
def test_a_resumed_run_keeps_such_a_result_only_if_it_passed(home: HomeLayout, passed: bool, calls: int) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep(passed=passed, reusable=False))
    again = WritingStep()
    assert _execute(home, run, again)
    assert again.calls == calls


class ReplacingStep(WritingStep):
    """Writes one file, after another table has come into the place of the one that its key knows."""

    def __init__(self, table: Path, content: str) -> None:
        super().__init__()
        self.table, self.content = table, content

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        self.table.write_text(self.content)
        return super().__call__(settings, inputs, output, context)


@pytest.mark.parametrize(("content", "n_calls"), [("x\n1\n", 0), ("x\n2\n", 1)])
def test_what_was_made_while_the_table_changed_is_no_result_of_the_table_that_was_there(
    home: HomeLayout, tmp_path: Path, content: str, n_calls: int
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("x\n1\n")
    source = {"uri": str(table), "time_column": "x", "target": "x"}
    assert _execute(home, _new_run(home), ReplacingStep(table, content), data=source)
    table.write_text("x\n1\n")
    later = create_run(home, RunRecord("20260101T000001Z-toy", "toy", 1.0, None, "digest"))
    again = WritingStep()
    assert _execute(home, later, again, data=source)
    assert again.calls == n_calls


class TornStep(ReplacingStep):
    """Finds a fault in a table that was replaced while it was read, or in one that was not."""

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        super().__call__(settings, inputs, output, context)
        raise DataError("row 7 has no time")


@pytest.mark.parametrize(("content", "kind"), [("x\n1\n", DataError), ("x\n2\n", RetryableError)])
def test_a_fault_of_a_table_that_changed_meanwhile_may_be_tried_again(
    home: HomeLayout, tmp_path: Path, content: str, kind: type[Exception]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("x\n1\n")
    source = {"uri": str(table), "time_column": "x", "target": "x"}
    with pytest.raises(kind, match="row 7 has no time") as found:
        _execute(home, _new_run(home), TornStep(table, content), data=source)
    assert type(found.value) is kind


def test_a_file_that_is_no_table_in_its_folder_makes_a_result_outdated_and_fails_nothing(
    home: HomeLayout, tmp_path: Path
) -> None:
    table = tmp_path / "tables" / "t.csv"
    table.parent.mkdir()
    table.write_text("x\n1\n")
    source = {"uri": str(table.parent), "time_column": "x", "target": "x"}
    assert _execute(home, _new_run(home), ReplacingStep(table.with_name("README.txt"), "words"), data=source)


def test_a_step_that_begins_forgets_its_own_and_later_outputs_of_an_earlier_attempt(home: HomeLayout) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    series = run.step(StepName.VALIDATE_DATA)
    _execute(home, run, WritingStep(), StepName.BUILD_FEATURES, inputs={"validate_data": str(series)})
    with pytest.raises(DataError):
        _execute(home, run, FailingStep(DataError("no")), split={"validation": "7d", "test": "7d"})
    assert [step for step in StepName if load_step(run, step) or run.step(step).exists()] == [StepName.VALIDATE_DATA]
    assert not series.exists()


class CheckpointingStep:
    """Says which checkpoints it finds, leaves one, and fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.found = error, []

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        directory = context.run.checkpoint(StepName.VALIDATE_DATA)
        self.found = sorted(path.name for path in directory.glob("*.npz"))
        (directory / "fit.npz").write_text("epoch 3")
        if self.error:
            raise self.error
        return StepOutcome(True, "done")


def test_a_step_that_is_run_again_finds_its_checkpoint_which_goes_once_it_is_done(home: HomeLayout) -> None:
    run, again = _new_run(home), CheckpointingStep()
    with pytest.raises(DataError):
        _execute(home, run, CheckpointingStep(DataError("no")))
    _execute(home, run, again)
    assert again.found == ["fit.npz"]
    assert not run.checkpoint(StepName.VALIDATE_DATA).exists()


def test_a_checkpoint_of_the_step_with_other_settings_is_thrown_away(home: HomeLayout) -> None:
    run, again = _new_run(home), CheckpointingStep()
    with pytest.raises(DataError):
        _execute(home, run, CheckpointingStep(DataError("no")))
    _execute(home, run, again, split={"validation": "7d", "test": "7d"})
    assert again.found == []


def test_the_report_of_a_run_that_was_asked_to_stop_is_written(home: HomeLayout) -> None:
    run, report = _new_run(home), WritingStep()
    request_stop(run)
    assert _execute(home, run, report, StepName.REPORT_RUN)
    assert report.calls == 1


def test_the_report_of_a_run_is_never_reused(home: HomeLayout) -> None:
    for run in (_new_run(home), _new_run(home)):
        step = WritingStep()
        _execute(home, run, step, StepName.REPORT_RUN)
        assert step.calls == 1


def test_an_input_that_was_altered_is_refused_before_the_step_runs(home: HomeLayout) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    series = run.step(StepName.VALIDATE_DATA)
    (series / "payload.txt").write_text("other")
    step = WritingStep()
    with pytest.raises(ArtifactError, match="was altered"):
        _execute(home, run, step, StepName.BUILD_FEATURES, inputs={"validate_data": str(series)})
    assert step.calls == 0


def test_a_missing_input_is_named(home: HomeLayout) -> None:
    with pytest.raises(ConfigError, match="build_features reads validate_data"):
        _execute(home, _new_run(home), WritingStep(), StepName.BUILD_FEATURES)


def test_the_key_of_a_step_holds_its_parents_and_its_code(home: HomeLayout) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    series = run.step(StepName.VALIDATE_DATA)
    _execute(home, run, WritingStep(), StepName.BUILD_FEATURES, inputs={"validate_data": str(series)})
    key = load_key(run, StepName.BUILD_FEATURES)
    assert key is not None
    assert key.parents == {"validate_data": load_manifest(series).payload_digest}
    assert "components/features/build_features.py" in key.code
    assert not any(path.startswith("components/training") for path in key.code)


def test_a_step_of_a_run_that_was_asked_to_stop_does_not_begin(home: HomeLayout) -> None:
    run = _new_run(home)
    request_stop(run)
    step = WritingStep()
    with pytest.raises(StoppedError):
        _execute(home, run, step)
    assert step.calls == 0


def test_a_step_that_still_runs_elsewhere_is_not_started_twice(home: HomeLayout) -> None:
    run = _new_run(home)
    with step_lease(run, StepName.VALIDATE_DATA), pytest.raises(RetryableError, match=f"process {os.getpid()}"):
        _execute(home, run, WritingStep())


def test_logging_and_output_of_child_processes_go_to_the_log_of_the_step(home: HomeLayout) -> None:
    def noisy(settings, inputs, output, context) -> StepOutcome:
        logging.getLogger("library").info("from logging")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        return StepOutcome(True, "noisy")

    run = _new_run(home)
    execute_step(
        StepName.VALIDATE_DATA,
        noisy,
        _settings(StepName.VALIDATE_DATA),
        {},
        home=str(home.root),
        run=run.name,
        cutoff="",
    )
    log = run.log(StepName.VALIDATE_DATA).read_text()
    assert "library: from logging" in log
    assert "from a child" in log


def test_sigterm_unwinds_the_step_and_is_recorded_as_stopped(home: HomeLayout) -> None:
    def killed(settings, inputs, output, context) -> StepOutcome:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal came too late")

    run = _new_run(home)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError):
        _execute(home, run, killed)
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert (record.status, record.exit_code) == (RunStatus.STOPPED, 143)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_component_ends_its_process_with_the_exit_code_of_the_error(home: HomeLayout) -> None:
    run = _new_run(home)
    with pytest.raises(SystemExit) as ended:
        run_component(
            "build_features", "components.features.build_features:build_features",
            _settings(StepName.BUILD_FEATURES), {}, home=str(home.root), run=run.name, cutoff="",
        )  # fmt: skip
    assert ended.value.code == 2


class Artifact:
    """The two attributes of an artifact of Kubeflow Pipelines that are used."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri, self.path, self.metadata = uri, str(path), {}


def test_a_local_artifact_points_at_the_run_directory(home: HomeLayout, tmp_path: Path) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    artifact = Artifact(str(tmp_path / "kfp"), tmp_path / "kfp")
    hand_over(run.step(StepName.VALIDATE_DATA), artifact)
    assert artifact.uri == str(run.step(StepName.VALIDATE_DATA))
    assert not (tmp_path / "kfp").exists()


def test_an_artifact_with_a_place_of_its_own_is_filled(home: HomeLayout, tmp_path: Path) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    artifact = Artifact("minio://bucket/output", tmp_path / "mounted")
    hand_over(run.step(StepName.VALIDATE_DATA), artifact)
    assert artifact.uri == "minio://bucket/output"
    assert load_manifest(tmp_path / "mounted") == load_manifest(run.step(StepName.VALIDATE_DATA))
    assert (tmp_path / "mounted/payload.txt").read_text() == "series"


def test_an_artifact_that_was_not_copied_whole_has_no_manifest(home: HomeLayout, tmp_path: Path) -> None:
    run = _new_run(home)
    _execute(home, run, WritingStep())
    mounted = tmp_path / "mounted"
    # A directory where a file has to go ends the copy half-way.
    (mounted / "payload.txt").mkdir(parents=True)
    (mounted / "manifest.json").write_text("{}")
    with pytest.raises(IsADirectoryError):
        hand_over(run.step(StepName.VALIDATE_DATA), Artifact("minio://bucket/output", mounted))
    assert not (mounted / "manifest.json").exists()


def test_the_run_that_the_pipeline_system_opened_for_a_task_is_in_the_record(
    home: HomeLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _new_run(home)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef")
    _execute(home, run, WritingStep())
    record = load_step(run, StepName.VALIDATE_DATA)
    assert record is not None
    assert record.mlflow_run == "0123456789abcdef"
