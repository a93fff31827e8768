"""Leases: who may run a model's pipeline, or a step of a run, on this machine.

They are file locks of the operating system, so they end with the process that holds them, however it ends.
"""

import fcntl
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import RetryableError
from forecasting.runs import STEP_RECORDS_DIR, RunRecord, load_run

_PATIENCE_S = 0.2


@contextmanager
def model_lease(home: HomeLayout, model: str) -> Iterator[None]:
    """Hold the right to run a model's pipeline in this home.

    Raises:
        RetryableError: Another process holds it.
    """
    home.runs.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(_model_lease_path(home, model), f"a run of {model!r} is already going in {home.root}"):
        yield


@contextmanager
def step_lease(layout: RunLayout, step: StepName) -> Iterator[None]:
    """Hold the right to run one step of a run, against a process that outlived its run.

    Raises:
        RetryableError: Another process holds it.
    """
    path = _step_lease_path(layout, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(path, f"{step.value} of run {layout.name} is already running"):
        yield


@contextmanager
def run_lease(layout: RunLayout) -> Iterator[None]:
    """Hold a run: its steps are run by this process and those that it starts.

    Raises:
        RetryableError: Another process holds it.
    """
    with exclusive_lock(_run_lease_path(layout), f"run {layout.name} is already going"):
        yield


def run_is_going(layout: RunLayout) -> bool:
    """Whether a process runs this very run now, whatever a killed one left in its record."""
    return lock_holder(_run_lease_path(layout)) is not None


def model_is_going(home: HomeLayout, model: str) -> bool:
    """Whether a process runs a model's pipeline in this home now."""
    return lock_holder(_model_lease_path(home, model)) is not None


def step_is_going(layout: RunLayout, step: StepName) -> bool:
    """Whether a process runs this step of a run now, which may have outlived the run."""
    return lock_holder(_step_lease_path(layout, step)) is not None


def effective_run(layout: RunLayout) -> RunRecord:
    """A run and its steps as they stand: what a killed process left as running is stopped.

    Raises:
        ConfigError: There is no such run.
        ArtifactError: A record cannot be read.
    """
    record = load_run(layout)
    steps = {
        name: replace(step, status=RunStatus.STOPPED, process=None)
        if step.status == RunStatus.RUNNING and lock_holder(_step_lease_path(layout, name)) is None
        else step
        for name, step in record.steps.items()
    }
    if record.status == RunStatus.RUNNING and not run_is_going(layout):
        return replace(record, status=RunStatus.STOPPED, process=None, steps=steps)
    return replace(record, steps=steps)


def signal_steps(layout: RunLayout, number: signal.Signals, only: Collection[int] | None = None) -> list[int]:
    """Send a signal to the processes that run steps of a run now; returns them.

    Args:
        layout: The run.
        number: The signal.
        only: None but these processes; none: all.
    """
    holders = [lock_holder(_step_lease_path(layout, step)) for step in StepName]
    processes = [holder for holder in holders if holder and (only is None or holder in only)]
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
    return processes


def lock_holder(path: Path) -> int | None:
    """The process that holds a lock file of `exclusive_lock`, 0 where it has not said yet, none where none does."""
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(stream.read().strip() or 0)
    return None


def _run_lease_path(layout: RunLayout) -> Path:
    return layout.root / ".lease"


def _step_lease_path(layout: RunLayout, step: StepName) -> Path:
    return layout.root / STEP_RECORDS_DIR / f".{step.value}.lease"


def _model_lease_path(home: HomeLayout, model: str) -> Path:
    return home.runs / f".{model}.lease"


@contextmanager
def exclusive_lock(path: Path, taken: str) -> Iterator[None]:
    """Hold a file lock of the operating system; the file names the process that holds it.

    Args:
        path: The lock file; it stays, an unlocked one means nothing.
        taken: What is the matter when it is taken, for the message.

    Raises:
        RetryableError: Another process holds it.
    """
    with path.open("a+", encoding="utf-8") as stream:
        _take(stream, taken)
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _take(stream: TextIO, taken: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            # Someone may only be looking, which is over at once.
            if time.monotonic() < deadline:
                time.sleep(_PATIENCE_S / 10)
                continue
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise RetryableError(f"{taken} (process {holder}); wait for it or stop it, then try again") from error
        return
