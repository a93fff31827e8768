"""Leases: who may run a model's pipeline, or a step of a run, on this machine.

They are file locks of the operating system, so they end with the process that holds them, however it ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import RetryableError
from forecasting.runs import STEP_RECORDS_DIR, RunRecord


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
    directory = layout.root / STEP_RECORDS_DIR
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(directory / f".{step.value}.lease", f"{step.value} of run {layout.name} is already running"):
        yield


def run_is_going(home: HomeLayout, record: RunRecord) -> bool:
    """Whether the process that a run record names runs the model's pipeline in this home now.

    A killed process leaves a record that says it runs; another run of the model may go by then.
    """
    if record.status != RunStatus.RUNNING:
        return False
    path = _model_lease_path(home, record.model)
    try:
        with model_lease(home, record.model):
            return False
    except RetryableError:
        return path.read_text(encoding="utf-8").strip() == str(record.process)


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
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise RetryableError(f"{taken} (process {holder}); wait for it or stop it, then try again") from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
