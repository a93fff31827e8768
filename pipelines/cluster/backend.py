"""What a cluster is asked for, whichever system runs the pipeline there."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from forecasting.contracts.steps import StepName


class ClusterPhase(StrEnum):
    """How a run stands, as its cluster sees it. STOPPED: somebody ended it."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        """Whether nothing comes after it."""
        return self in (ClusterPhase.SUCCEEDED, ClusterPhase.FAILED, ClusterPhase.STOPPED)


@dataclass(frozen=True)
class SubmissionSpec:
    """A run that is asked for.

    request: names it; what is asked for twice by one name is one run. cutoff: ISO 8601 time with zone; empty: all of the table.
    """

    request: str
    cutoff: str = ""


@dataclass(frozen=True)
class ClusterRunRecord:
    """A run as its cluster knows it.

    id: what the cluster calls it. name: what people see. request: by which it was asked for, none where a schedule did.
    cutoff: that it was given, or none. created: ISO 8601. detail: why it failed, where the cluster says so.
    """

    id: str
    name: str
    phase: ClusterPhase
    created: str
    request: str | None = None
    cutoff: str | None = None
    detail: str = ""


class ClusterBackend(Protocol):
    """The system that runs pipelines of one configuration. Every method may raise RetryableError and RemoteError."""

    def submit(self, spec: SubmissionSpec) -> ClusterRunRecord:
        """Begin a run, or find the one that this request began."""

    def run(self, name: str) -> ClusterRunRecord:
        """A run by its id or name."""

    def runs(self) -> Iterator[ClusterRunRecord]:
        """The runs of the model, page by page."""

    def stop(self, name: str) -> ClusterRunRecord:
        """Have a run ended."""

    def logs(self, name: str, step: StepName | None) -> Iterator[tuple[str, str]]:
        """What the pods of a run printed, by the name of their task; of one step, or of all."""

    def schedule(self) -> str:
        """Have the pipeline run by the schedule of the configuration, in the place of an earlier schedule; what was done."""

    def unschedule(self) -> bool:
        """End the schedule; whether there was one."""


def submitted_name(model: str, request: str) -> str:
    """The name of the run of a request: the same each time, and one that Kubernetes takes."""
    return f"almanac-{model}-{hashlib.sha256(request.encode()).hexdigest()[:10]}"
