"""Leases: who may run a model's pipeline, or a step of a run.

They are file locks of the operating system, so they end with the process that holds them, however it ends. A run of a
cluster is many processes and holds a claim (`forecasting.claims`); a lease of the model and a claim exclude each other.
"""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from forecasting.claims import claim_path, held_claim
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import RetryableError
from forecasting.file_locks import exclusive_lock, lock_holder
from forecasting.runs import STEP_RECORDS_DIR, RunRecord, load_run


@contextmanager
def model_lease(home: HomeLayout, model: str) -> Iterator[None]:
    """Hold the right to run a model's pipeline in this home.

    Raises:
        RetryableError: Another process holds it, or a run of a cluster has the claim.
    """
    home.runs.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(_model_lease_path(home, model), f"a run of {model!r} is already going in {home.root}"):
        # Looked at once the lease is held, and `begin_cluster_run` looks at leases once it has the claim: one sees the other.
        if (claim := held_claim(home.runs, model)) is not None:
            raise RetryableError(
                f"run {claim.run} of {model!r} is going on a cluster; it must end first; where its workflow is gone, "
                f"remove {claim_path(home.runs, model)}"
            )
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
    """Whether a process or a cluster runs this very run now, whatever a killed one left in its record."""
    return lock_holder(_run_lease_path(layout)) is not None or run_is_claimed(layout)


def run_is_claimed(layout: RunLayout) -> bool:
    """Whether this run has the claim of its model: a cluster runs it now."""
    if not layout.record.is_file():
        return False
    runs = layout.root.parent
    claim = held_claim(runs, load_run(layout).model)
    return claim is not None and claim.run == layout.name


def model_is_going(home: HomeLayout, model: str) -> bool:
    """Whether a process, or a run of a cluster, runs a model's pipeline in this home now."""
    return is_leased(home, model) or held_claim(home.runs, model) is not None


def is_leased(home: HomeLayout, model: str) -> bool:
    """Whether a process holds the lease of a model; a run of a cluster holds none."""
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
    """Send a signal to the processes that run steps of a run now on this host; returns them.

    On a volume that hosts share, or containers, a step may be a process of another one, whose number means nothing here.

    Args:
        layout: The run.
        number: The signal.
        only: None but these processes; none: all.
    """
    holders = [lock_holder(_step_lease_path(layout, step)) for step in StepName]
    here = [holder.process for holder in holders if holder is not None and holder.is_here]
    processes = [process for process in here if only is None or process in only]
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
    return processes


def _run_lease_path(layout: RunLayout) -> Path:
    return layout.root / ".lease"


def _step_lease_path(layout: RunLayout, step: StepName) -> Path:
    return layout.root / STEP_RECORDS_DIR / f".{step.value}.lease"


def _model_lease_path(home: HomeLayout, model: str) -> Path:
    return home.runs / f".{model}.lease"
