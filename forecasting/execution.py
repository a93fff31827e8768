"""Runs one step: verified inputs, cache, a directory that appears only when it is whole, record, logs.

The order on disk is what makes a run resumable: payload in a temporary directory, manifest, fsync,
rename, fsync of the parent, and only then the record that says the step is done.
"""

import logging
import os
import pkgutil
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from forecasting.cache import NEVER_REUSED, STEP_KINDS, KeyRecord, find_finished, is_outdated, step_key, write_key
from forecasting.capture import captured, shown
from forecasting.cluster_runs import reopen_cluster_run
from forecasting.command_word import command_word
from forecasting.config.root import STEP_SETTINGS, StepSettings
from forecasting.contracts.artifacts import MANIFEST_FILE
from forecasting.contracts.codes import RETRYABLE_CODES
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import AlmanacError, ArtifactError, ConfigError, DataError, RetryableError
from forecasting.full_disk import full_disk_passes
from forecasting.leases import step_lease
from forecasting.lineage import verify_inputs
from forecasting.manifests import (
    digest_text,
    load_manifest,
    payload_files,
    sync_directory,
    verify,
    write_manifest,
    write_text_atomically,
)
from forecasting.recorder import StepRecorder
from forecasting.runs import StepRecord, forget_later_steps, load_run, load_step
from forecasting.steps import Step, StepContext, StepOutcome
from forecasting.stopping import stop_signals

logger = logging.getLogger(__name__)

CHECKPOINT_KEY_FILE = "key"
"""In the checkpoint directory of a step: the key it belongs to."""


class InputArtifact(Protocol):
    """The part of an input of Kubeflow Pipelines that is used here."""

    @property
    def path(self) -> str:
        """Where it lies."""


class OutputArtifact(Protocol):
    """The part of an output of Kubeflow Pipelines that is used here."""

    uri: str
    metadata: dict[str, Any]

    @property
    def path(self) -> str:
        """Local path of `uri`."""


@dataclass(frozen=True)
class StepCallSpec:
    """One step of one run, with all that is needed to run it."""

    step: StepName
    function: Step | str
    settings: StepSettings
    inputs: Mapping[StepName, Path]
    context: StepContext
    reuse: bool = True

    @property
    def run(self) -> RunLayout:
        """The run."""
        return self.context.run

    @property
    def output(self) -> Path:
        """Where the output will lie."""
        return self.run.step(self.step)


def given(**inputs: InputArtifact | None) -> dict[str, str]:
    """Directories of the inputs of a component by name, without those that its pipeline does not have."""
    return {name: artifact.path for name, artifact in inputs.items() if artifact is not None}


def run_component(
    step: str, function: Step | str, settings: str, inputs: Mapping[str, str], *,
    home: str, run: str, cutoff: str, output: OutputArtifact | None = None,
) -> bool:  # fmt: skip
    """Run a step as a component of a pipeline: as `execute_step`, but the process ends with the exit code.

    Args:
        step: A `StepName`.
        function: The step function, or where it is (`package.module:function`), imported only when it has to run.
        settings: The step's settings as JSON.
        inputs: Directories of its parents by step name.
        home: ALMANAC_HOME.
        run: Name of the run.
        cutoff: ISO 8601 time with zone, empty for that of the run's record.
        output: The output artifact: told where the directory is, or filled where it has a place of its own.

    Returns:
        Whether the run may go on.

    Raises:
        SystemExit: The step failed; the record and the log say why.
    """
    try:
        if step != StepName.REPORT_RUN:
            # The report is of the run as it ended.
            reopen_cluster_run(home_layout(home), run)
        _refuse_useless_retry(home_layout(home).run(run), StepName(step))
        passed = execute_step(StepName(step), function, settings, inputs, home=home, run=run, cutoff=cutoff)
        if output is not None:
            hand_over(home_layout(home).run(run).step(StepName(step)), output)
    except AlmanacError as error:
        raise SystemExit(int(error.exit_code)) from error
    return passed


def _refuse_useless_retry(run: RunLayout, step: StepName) -> None:
    """End at once where this very run has failed at this step for good.

    Kubeflow Pipelines tries a failed task again whatever its exit code says; resuming a run removes such records. On one
    machine only a step that was killed, and so could say nothing, is tried again: else it is for whoever began the run to resume it.

    Raises:
        SystemExit: With the exit code of the failure.
    """
    earlier = load_step(run, step)
    if earlier is None or earlier.exit_code is None or earlier.status not in (RunStatus.FAILED, RunStatus.STOPPED):
        return
    if earlier.exit_code in RETRYABLE_CODES and load_run(run).on_cluster:
        return
    if earlier.exit_code in RETRYABLE_CODES:
        logger.error("%s is not tried again here; `almanac run --resume` goes on with it: %s", step, earlier.error)
    else:
        logger.error("%s is not tried again, it would fail in the same way: %s", step, earlier.error)
    raise SystemExit(earlier.exit_code)


def execute_step(
    step: StepName, function: Step | str, settings_json: str, inputs: Mapping[str, str], *,
    home: str, run: str, cutoff: str, capture: bool = True, reuse: bool = True,
) -> bool:  # fmt: skip
    """Run a step, or take the output of an earlier run if nothing it depends on has changed.

    Args:
        step: Which step.
        function: The step function, or where it is (`package.module:function`), imported only when it has to run.
        settings_json: Its settings as JSON.
        inputs: Directories of its parents by step name.
        home: ALMANAC_HOME.
        run: Name of the run, whose record exists.
        cutoff: ISO 8601 time with zone, empty for that of the run's record.
        capture: Send everything the step prints to its log file; otherwise it stays on the terminal.
        reuse: Whether an equal step of an earlier run may be taken.

    Returns:
        Whether the run may go on: false is a gate that said no, which is a result.

    Raises:
        AlmanacError: The step failed; its record holds the cause.
    """
    layout = home_layout(home)
    record = load_run(layout.run(run))
    context = StepContext(layout, layout.run(run), cutoff or record.cutoff, created=record.created)
    context.run.logs.mkdir(parents=True, exist_ok=True)
    with full_disk_passes(), ExitStack() as stack:
        # Whoever holds the lease gets signals, so that it must know what to do with them by then.
        stack.enter_context(stop_signals(f"`{command_word()} run --resume latest` continues the run"))
        stack.enter_context(step_lease(context.run, step))
        terminal = stack.enter_context(captured(context.run.log(step)) if capture else shown())
        recorder = stack.enter_context(StepRecorder(context.run, step, terminal))
        # Once more, so that the record of the step says so, if there is room for it.
        stack.enter_context(full_disk_passes())
        settings = _parse_settings(step, settings_json)
        places = {StepName(name): Path(place) for name, place in inputs.items()}
        call = StepCallSpec(step, function, settings, places, context, reuse)
        _perform(call, recorder)
    return recorder.record.status == RunStatus.SUCCEEDED


def hand_over(directory: Path, artifact: OutputArtifact) -> None:
    """Tell a pipeline where an output is.

    Where artifacts lie on this file system the artifact points at the run directory. Where they have a
    place of their own (an object store, mounted or uploaded by the launcher) the directory is copied there.
    """
    if "://" in artifact.uri:
        _copy_manifest_last(directory, Path(artifact.path))
    else:
        artifact.uri = str(directory)
    artifact.metadata["payload_digest"] = load_manifest(directory).payload_digest


def _copy_manifest_last(directory: Path, target: Path) -> None:
    """An object store has no rename of directories: what has a manifest is whole."""
    manifest = target / MANIFEST_FILE
    manifest.unlink(missing_ok=True)
    for path in payload_files(directory):
        place = target / path.relative_to(directory)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    shutil.copyfile(directory / MANIFEST_FILE, manifest)


def _parse_settings(step: StepName, text: str) -> StepSettings:
    try:
        return STEP_SETTINGS[step].model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"the settings of {step} do not fit this version: {error.errors()[0]['msg']}") from error


def _perform(call: StepCallSpec, recorder: StepRecorder) -> None:
    digests = verify_inputs(call.run, call.step, call.inputs)
    key = step_key(
        call.step, call.settings, cutoff=call.context.cutoff, parents=digests, home=call.context.home,
        created=call.context.created,
    )  # fmt: skip
    if call.reuse and (kept := _kept(call, key)) is not None:
        recorder.keep(kept)
        return
    write_key(call.run, key)
    recorder.record = replace(recorder.record, cache_key=key.digest)
    if call.reuse and (reused := _reuse(call, key, recorder.record)) is not None:
        forget_later_steps(call.run, call.step)
        recorder.record = reused
        return
    recorder.begin()
    try:
        outcome = _run_function(call, key, digests)
    except DataError as error:
        if not is_outdated(key, call.settings, home=call.context.home, created=call.context.created):
            raise
        # Half of one table and half of another can be wrong in any way.
        raise RetryableError(
            f"the table must stay as it is while it is read, and it changed; run again: {error}"
        ) from error
    status = RunStatus.SUCCEEDED if outcome.passed else RunStatus.REFUSED
    reusable = outcome.reusable
    if reusable and is_outdated(key, call.settings, home=call.context.home, created=call.context.created):
        logger.info("the source changed while %s ran: no later run takes this result over", call.step)
        reusable = False
    recorder.record = replace(recorder.record, status=status, summary=outcome.summary, reusable=reusable)


def _kept(call: StepCallSpec, key: KeyRecord) -> StepRecord | None:
    """The record of this step in this very run, where a run that was stopped had finished it."""
    earlier = load_step(call.run, call.step)
    if earlier is None or call.step in NEVER_REUSED or not earlier.finished or earlier.cache_key != key.digest:
        return None
    if earlier.status == RunStatus.REFUSED and not earlier.reusable:
        return None
    try:
        verify(call.output, STEP_KINDS[call.step])
    except ArtifactError as error:
        logger.warning("%s runs again: %s", call.step, error)
        return None
    return earlier


def _reuse(call: StepCallSpec, key: KeyRecord, record: StepRecord) -> StepRecord | None:
    if call.step in load_run(call.run).forced:
        return None
    found = find_finished(call.step, key.digest, call.context.home, call.settings.name)
    if found is None:
        return None
    source, finished = found
    partial = _partial_directory(call)
    _link_tree(source.step(call.step), partial)
    _publish(partial, call)
    logger.info("%s is unchanged, its output is that of run %s", call.step, source.name)
    origin = finished.reused_from or source.name
    return replace(record, status=finished.status, summary=finished.summary, reused_from=origin)


def _run_function(call: StepCallSpec, key: KeyRecord, digests: Mapping[StepName, str]) -> StepOutcome:
    began_s = time.monotonic()
    function: Step = pkgutil.resolve_name(call.function) if isinstance(call.function, str) else call.function
    partial = _partial_directory(call)
    partial.mkdir()
    _open_checkpoint(call.run.checkpoint(call.step), key)
    try:
        outcome = function(call.settings, call.inputs, partial, call.context)
        write_manifest(
            partial, STEP_KINDS[call.step],
            parents={parent.value: digest for parent, digest in digests.items()},
            settings_digest=digest_text(call.settings.model_dump_json()),
            cache_key=key.digest, duration_s=time.monotonic() - began_s,
        )  # fmt: skip
        _publish(partial, call)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return outcome


def _partial_directory(call: StepCallSpec) -> Path:
    for left in call.run.root.glob(f".{call.step}.*.partial"):
        shutil.rmtree(left)
    return call.run.root / f".{call.step}.{os.getpid()}.partial"


def _open_checkpoint(directory: Path, key: KeyRecord) -> None:
    """Leave a checkpoint of this very step as it is, throw away one of the step with another key."""
    path = directory / CHECKPOINT_KEY_FILE
    if not path.is_file() or path.read_text(encoding="utf-8") != key.digest:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        write_text_atomically(path, key.digest)


def _publish(partial: Path, call: StepCallSpec) -> None:
    final = call.output
    for path in partial.rglob("*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    sync_directory(final.parent)
    shutil.rmtree(call.run.checkpoint(call.step), ignore_errors=True)


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
