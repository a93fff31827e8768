"""Run and step records: what was done, with which result, and the true cause of a failure.

`run.json` holds the run; `steps/<step>.json` holds one record a step, because steps are processes of
their own and must not write one file at the same time. `load_run` puts them together.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forecasting.command_word import command_word
from forecasting.contracts.codes import KILLED, ExitCode
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ArtifactError, ConfigError
from forecasting.formats import as_bytes
from forecasting.manifests import write_text_atomically

STEP_RECORDS_DIR = "steps"
STOP_FILE = "stop"
"""Exists in a run directory once someone asked the run to stop; steps look for it before they begin."""


@dataclass(frozen=True)
class StepRecord:
    """What one step did. Times are epoch seconds.

    status: running, succeeded, refused (a gate that said no), failed or stopped. reused_from: the run
    whose output was taken because nothing the step depends on had changed, or none. reusable: whether a
    later run may take this one. error: one line, the message of the exception named by error_type. mlflow_run: the
    run that the pipeline system has opened in MLflow for this step, or none. memory_limit_bytes: what its process may have,
    while it runs.
    """

    step: StepName
    status: RunStatus
    started: float
    duration_s: float = 0.0
    cache_key: str = ""
    reused_from: str | None = None
    peak_rss_bytes: int = 0
    summary: str = ""
    error_type: str | None = None
    error: str | None = None
    exit_code: int | None = None
    process: int | None = None
    reusable: bool = True
    mlflow_run: str | None = None
    memory_limit_bytes: int | None = None

    @property
    def reused(self) -> bool:
        """Whether the output was taken from an earlier run."""
        return self.reused_from is not None

    @property
    def finished(self) -> bool:
        """Whether the step has an output."""
        return self.status in (RunStatus.SUCCEEDED, RunStatus.REFUSED)


@dataclass(frozen=True)
class RunRecord:
    """One run of the pipeline. Times are epoch seconds, `cutoff` is ISO 8601 or none for the end of the table.

    last_step: where the run was asked to end. forced: steps asked to run again although nothing had
    changed. refused_by: the gate that said no, with its reason. exit_code: what `almanac run` returned. request: of whom
    had a cluster run it, so that it is found again; or none. on_cluster: whether its steps are pods of a cluster. optional:
    steps that the run has and others have not.
    """

    run: str
    model: str
    created: float
    cutoff: str | None
    config_digest: str
    status: RunStatus = RunStatus.RUNNING
    finished: float | None = None
    last_step: StepName = StepName.DEPLOY_MODEL
    forced: tuple[StepName, ...] = ()
    refused_by: StepName | None = None
    reason: str | None = None
    exit_code: int | None = None
    process: int | None = None
    request: str | None = None
    on_cluster: bool = False
    optional: tuple[StepName, ...] = ()
    steps: Mapping[StepName, StepRecord] = field(default_factory=dict)


def derive_status(record: RunRecord) -> RunStatus:
    """Status that follows from the steps alone; `report_run` tells of a run and does not change it."""
    steps = [step for name, step in record.steps.items() if name != StepName.REPORT_RUN]
    for status in (RunStatus.FAILED, RunStatus.STOPPED, RunStatus.REFUSED):
        if any(step.status == status for step in steps):
            return status
    last = record.steps.get(record.last_step)
    return RunStatus.SUCCEEDED if last and last.status == RunStatus.SUCCEEDED else RunStatus.RUNNING


def failed_step(record: RunRecord) -> StepRecord | None:
    """The first step that failed or was stopped, `report_run` last, or none."""
    order = list(StepName)
    failed = [step for step in record.steps.values() if step.status in (RunStatus.FAILED, RunStatus.STOPPED)]
    return min(failed, key=lambda step: order.index(step.step), default=None)


def create_run(home: HomeLayout, record: RunRecord) -> RunLayout:
    """Make the directory of a new run; the name gets a suffix when it is taken.

    Args:
        home: Where runs are.
        record: The run; its `run` is the wanted name, see `run_name`.

    Returns:
        The layout of the run, whose `name` is the name it got.
    """
    home.runs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        name = record.run if number == 1 else f"{record.run}-{number}"
        layout = home.run(name)
        try:
            layout.root.mkdir()
        except FileExistsError:
            number += 1
            continue
        break
    layout.logs.mkdir()
    (layout.root / STEP_RECORDS_DIR).mkdir()
    write_run(layout, replace(record, run=name))
    return layout


def run_name(model: str, now: float) -> str:
    """Name of a run that begins now, such as 20261121T070000Z-electricity."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{model}"


def write_run(layout: RunLayout, record: RunRecord) -> None:
    """Write `run.json` without the steps, atomically."""
    document = asdict(replace(record, steps={}))
    del document["steps"]
    write_text_atomically(layout.record, json.dumps(document, indent=1))


def write_step(layout: RunLayout, record: StepRecord) -> None:
    """Write the record of one step, atomically."""
    path = step_record_path(layout, record.step)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps(asdict(record), indent=1))


def step_record_path(layout: RunLayout, step: StepName) -> Path:
    """File of the record of one step."""
    return layout.root / STEP_RECORDS_DIR / f"{step.value}.json"


def forget_later_steps(layout: RunLayout, step: StepName) -> None:
    """Remove records and outputs of the steps after one that is done anew: they are of an earlier attempt."""
    steps = list(StepName)
    for later in steps[steps.index(step) + 1 :]:
        step_record_path(layout, later).unlink(missing_ok=True)
        shutil.rmtree(layout.step(later), ignore_errors=True)


def forget_unfinished_steps(layout: RunLayout) -> None:
    """Remove records of steps that failed or were stopped, so that a resumed run tells of itself only."""
    for step, record in load_run(layout).steps.items():
        if not record.finished:
            step_record_path(layout, step).unlink(missing_ok=True)


def load_run(layout: RunLayout) -> RunRecord:
    """Read a run and its steps, in the order of the steps.

    Raises:
        ConfigError: There is no such run.
        ArtifactError: A record cannot be read.
    """
    if not layout.record.is_file():
        raise _no_run(layout.name, layout.root.parent)
    document = _read_json(layout.record)
    steps = {step: record for step in StepName if (record := load_step(layout, step)) is not None}
    try:
        return RunRecord(
            **{
                **document,
                "status": RunStatus(document["status"]),
                "last_step": StepName(document["last_step"]),
                "forced": tuple(StepName(step) for step in document["forced"]),
                "optional": tuple(StepName(step) for step in document.get("optional", ())),
                "refused_by": StepName(document["refused_by"]) if document["refused_by"] else None,
                "steps": steps,
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{layout.record} is no run record of this version: {error}") from error


def load_step(layout: RunLayout, step: StepName) -> StepRecord | None:
    """Read the record of one step; none where the step has not begun.

    Raises:
        ArtifactError: The record cannot be read.
    """
    path = step_record_path(layout, step)
    if not path.is_file():
        return None
    document = _read_json(path)
    try:
        return StepRecord(**{**document, "step": StepName(document["step"]), "status": RunStatus(document["status"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is no step record of this version: {error}") from error


def is_finished(directory: Path) -> bool | None:
    """Whether the record in the directory of a run says that the run has ended; none where there is no record.

    Raises:
        ArtifactError: The record cannot be read.
    """
    path = RunLayout(directory).record
    return _read_json(path).get("finished") is not None if path.is_file() else None


def list_runs(home: HomeLayout) -> list[RunLayout]:
    """Runs of a home, newest first."""
    if not home.runs.is_dir():
        return []
    layouts = [RunLayout(path.parent) for path in home.runs.glob("*/run.json")]
    return sorted(layouts, key=_age_key, reverse=True)


def find_run(home: HomeLayout, name: str) -> RunLayout:
    """A run by its name, by a unique beginning of it, or `latest`.

    Raises:
        ConfigError: No run or more than one fits.
    """
    runs = list_runs(home)
    if name == "latest" and runs:
        return runs[0]
    fitting = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if not fitting:
        raise _no_run(name, home.runs)
    if len(fitting) > 1:
        raise ConfigError(
            f"{name!r} begins the names of {len(fitting)} runs, such as {fitting[0].name}; give more of it"
        )
    return fitting[0]


def request_stop(layout: RunLayout) -> None:
    """Ask a run to stop: its next step will not begin. `forecasting.leases.signal_steps` ends the one that runs."""
    (layout.root / STOP_FILE).touch()


def stop_requested(layout: RunLayout) -> bool:
    """Whether the run was asked to stop."""
    return (layout.root / STOP_FILE).exists()


def clear_stop(layout: RunLayout) -> None:
    """Forget that the run was asked to stop; done when it is resumed."""
    (layout.root / STOP_FILE).unlink(missing_ok=True)


def refuse_run(layout: RunLayout, gate: StepName) -> None:
    """Write into the run record that a gate said no; the reason is the gate's own summary."""
    record = load_run(layout)
    step = record.steps.get(gate)
    write_run(layout, replace(record, status=RunStatus.REFUSED, refused_by=gate, reason=step.summary if step else None))


def finish_run(layout: RunLayout, *, unfinished: RunStatus = RunStatus.FAILED) -> RunRecord:
    """Write the end of a run: status and exit code from its steps, and the time.

    Args:
        layout: The run.
        unfinished: What a run is that nobody asked to stop and whose last step is not done.
    """
    _settle_killed_steps(layout)
    record = load_run(layout)
    gate = next((step for step in record.steps.values() if step.status == RunStatus.REFUSED), None)
    status = derive_status(record)
    if status == RunStatus.RUNNING:
        status = RunStatus.STOPPED if stop_requested(layout) else unfinished
    finished = replace(
        record,
        status=status,
        finished=time.time(),
        refused_by=gate.step if gate else None,
        reason=gate.summary if gate else None,
        exit_code=_exit_code(record, status),
        process=None,
    )
    write_run(layout, finished)
    return finished


def _exit_code(record: RunRecord, status: RunStatus) -> int:
    failed = failed_step(record)
    # A report that fails is told of, but what the run came to does not hang on it.
    if failed is not None and failed.step != StepName.REPORT_RUN:
        return int(failed.exit_code or ExitCode.BUG)
    match status:
        case RunStatus.SUCCEEDED:
            return int(ExitCode.DONE)
        case RunStatus.REFUSED:
            data = record.steps[StepName.VALIDATE_DATA].status == RunStatus.REFUSED
            return int(ExitCode.DATA_REFUSED if data else ExitCode.MODEL_REFUSED)
        case RunStatus.STOPPED:
            return int(ExitCode.STOPPED)
        case _:
            return int(ExitCode.BUG)


def _settle_killed_steps(layout: RunLayout) -> None:
    """Write down what became of steps whose process ended without a word."""
    stopped = stop_requested(layout)
    for step in load_run(layout).steps.values():
        if step.status == RunStatus.RUNNING:
            ended = replace(
                step,
                status=RunStatus.STOPPED if stopped else RunStatus.FAILED,
                # Of another process, so by the clock of the wall, which may have been set back.
                duration_s=max(0.0, time.time() - step.started),
                error_type="ProcessKilled",
                error=why_killed(step),
                exit_code=int(ExitCode.STOPPED) if stopped else KILLED,
                process=None,
            )
            write_step(layout, ended)


def why_killed(step: StepRecord) -> str:
    """What became of a step that is still said to run and whose process is gone."""
    limit = f": it may have {as_bytes(step.memory_limit_bytes)}" if step.memory_limit_bytes else ""
    return f"the process of {step.step} was killed, probably for its memory{limit}"


def _no_run(name: str, runs: Path) -> ConfigError:
    return ConfigError(f"there is no run {name!r} in {runs}; `{command_word()} runs list` names them")


def _age_key(layout: RunLayout) -> tuple[float, int, str]:
    """When a run was begun; the name says nothing of that on a cluster. Within one moment the number behind it counts."""
    number = layout.name.rpartition("-")[2]
    return _created(layout), int(number) if number.isdigit() else 1, layout.name


def _created(layout: RunLayout) -> float:
    try:
        return float(_read_json(layout.record)["created"])
    except (ArtifactError, KeyError, TypeError, ValueError):
        # Whoever opens such a record is told; until then it stands where its file does.
        return layout.record.stat().st_mtime


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a record, found {type(document).__name__}")
    return document
