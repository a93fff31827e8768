"""Writes the record of a step, and its two lines on the terminal, however the step ends."""

import logging
import os
import resource
import shutil
import sys
import time
from dataclasses import replace
from types import TracebackType
from typing import Self, TextIO

from forecasting.command_word import command_word
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import AlmanacError, StoppedError
from forecasting.memory_limit import memory_limit_bytes
from forecasting.progress import ProgressNotes, end_line, note_line, shown_steps, start_line
from forecasting.runs import (
    StepRecord,
    forget_later_steps,
    load_run,
    load_step,
    stop_requested,
    why_killed,
    write_step,
)

logger = logging.getLogger(__name__)

MLFLOW_RUN_VARIABLE = "MLFLOW_RUN_ID"
"""Kubeflow Pipelines sets it for each task: the run that it has opened in MLflow for the task."""


class StepRecorder:
    """Writes the record of a step when its function begins and when the step ends, however it ends."""

    def __init__(self, run: RunLayout, step: StepName, terminal: TextIO) -> None:
        joined = os.environ.get(MLFLOW_RUN_VARIABLE) or None
        self.record = StepRecord(step, RunStatus.RUNNING, started=time.time(), mlflow_run=joined)
        self._run, self._terminal, self._began_s = run, terminal, time.monotonic()
        self._steps = shown_steps(load_run(run))
        self._kept = False
        self._notes = ProgressNotes(lambda text: self._say(note_line(step, self._steps, text)))

    def __enter__(self) -> Self:
        self._say(start_line(self.record.step, self._steps))
        logging.getLogger().addHandler(self._notes)
        return self

    def begin(self) -> None:
        """Write that the step runs, unless the run was asked to stop, and forget an earlier attempt at it.

        The lease of the step is held by now, and whoever asks a run to stop says so before looking at
        leases: one of the two always sees the other. `report_run` tells of stopped runs too.

        Raises:
            StoppedError: The run was asked to stop.
        """
        step = self.record.step
        self._tell_of_killed(load_step(self._run, step))
        write_step(self._run, replace(self.record, process=os.getpid(), memory_limit_bytes=memory_limit_bytes()))
        if step != StepName.REPORT_RUN and stop_requested(self._run):
            raise StoppedError(
                f"the run was asked to stop; `{command_word()} run --resume {self._run.name}` continues it"
            )
        shutil.rmtree(self._run.step(step), ignore_errors=True)
        forget_later_steps(self._run, step)

    def _tell_of_killed(self, earlier: StepRecord | None) -> None:
        if earlier is None or earlier.status != RunStatus.RUNNING:
            return
        # The lease is ours, so that nobody runs it: the kernel leaves no word of its own.
        logger.warning("%s is tried again: %s", self.record.step, why_killed(earlier))
        self._say(note_line(self.record.step, self._steps, f"once more: {why_killed(earlier)}"))

    def keep(self, record: StepRecord) -> None:
        """Leave the record of a step that had finished as it is."""
        self.record, self._kept = record, True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        logging.getLogger().removeHandler(self._notes)
        if error is not None:
            logger.error("%s failed", self.record.step, exc_info=error)
            self.record = _failure(self.record, error)
        if error is not None or not self._kept:
            duration_s = time.monotonic() - self._began_s
            self.record = replace(self.record, duration_s=duration_s, peak_rss_bytes=_peak_rss_bytes())
            write_step(self._run, self.record)
        self._say(end_line(self.record, self._steps, kept=self._kept))

    def _say(self, line: str) -> None:
        print(line, file=self._terminal, flush=True)


def _failure(record: StepRecord, error: BaseException) -> StepRecord:
    known = isinstance(error, AlmanacError)
    lines = str(error).splitlines()
    return replace(
        record,
        status=RunStatus.STOPPED if isinstance(error, StoppedError | KeyboardInterrupt) else RunStatus.FAILED,
        error_type=type(error).__name__,
        error=(" ".join(line.strip() for line in lines) if known else (lines or [type(error).__name__])[0]),
        exit_code=int(error.exit_code) if isinstance(error, AlmanacError) else int(ExitCode.BUG),
    )


def _peak_rss_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
