"""How a worker stands, as the status of its pod says, and what the end of all of them means."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.launching.job_spec import JobKind
from forecasting.contracts.codes import RETRYABLE_CODES, ExitCode
from forecasting.errors import AlmanacError, ConfigError, DataError, ModelRefusedError, RemoteError, RetryableError

_TAKEN_AWAY = frozenset({"Evicted", "Preempting", "Preempted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "UnexpectedAdmissionError"})  # fmt: skip
"""Reasons of pods that their node or scheduler has ended, not what ran in them."""
_NEVER_STARTS = frozenset({"InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"})
"""Reasons for which a container waits until somebody mends the configuration."""
_LINE = re.compile(r"^almanac: (.*)$", re.MULTILINE)
_ERRORS: dict[int, type[AlmanacError]] = {
    int(error.exit_code): error for error in (ConfigError, DataError, ModelRefusedError, RemoteError)
}


@dataclass(frozen=True)
class WorkerRecord:
    """One pod of a job.

    phase: as Kubernetes says it. exit_code: of its container once it ended. taken_away: the pod was evicted, preempted or lost with its node.
    waiting: why it does not run yet, or empty. message: what it said last, or empty.
    """

    number: int
    pod: str
    phase: str
    exit_code: int | None = None
    taken_away: str = ""
    waiting: str = ""
    waits_for_ever: bool = False
    message: str = ""

    @property
    def up(self) -> bool:
        """Whether its container runs, or has run."""
        return self.phase in ("Running", "Succeeded", "Failed")


def worker_record(pod: Mapping[str, Any], kind: JobKind) -> WorkerRecord:
    """The record of a pod."""
    metadata, status = pod["metadata"], pod.get("status", {})
    containers = status.get("containerStatuses", [])
    state: Mapping[str, Any] = next(
        (one.get("state", {}) for one in containers if one.get("name") == kind.container), {}
    )
    ended, waiting = state.get("terminated", {}), state.get("waiting", {})
    reason = waiting.get("reason", "")
    pending = status.get("phase", "Pending") == "Pending"
    return WorkerRecord(
        number=int(metadata["labels"].get(kind.index, metadata.get("annotations", {}).get(kind.index, 0))),
        pod=metadata["name"],
        phase=status.get("phase", "Pending"),
        exit_code=ended.get("exitCode"),
        taken_away=_taken_away(status),
        waiting=(f"{reason} {waiting.get('message', '')}".strip() or _unscheduled(status)) if pending else "",
        waits_for_ever=reason in _NEVER_STARTS,
        message=ended.get("message", "").strip(),
    )


def end_of(workers: Collection[WorkerRecord], told: str) -> AlmanacError:
    """Why a job failed, as the error of the step.

    A pod that was taken away goes before what it made of the others; then an exit code that is final, because the others end
    with 75 when one is gone. Without either the attempt is repeated: the pod that would have said why is gone.

    Args:
        workers: Every worker as it was seen last.
        told: What the job itself says.
    """
    for worker in workers:
        if worker.taken_away:
            return RetryableError(
                f"worker {worker.number} ({worker.pod}) was taken away: {worker.taken_away}; all workers go on from the last checkpoint"
            )
    final = [one for one in workers if one.exit_code not in (None, 0, *RETRYABLE_CODES)]
    if final:
        return _final_error(min(final, key=lambda one: one.number))
    codes = sorted({one.exit_code for one in workers if one.exit_code})
    ended = f"workers ended with {', '.join(map(str, codes))}" if codes else "what became of the workers is not known"
    return RetryableError(f"{ended}; they go on from the last checkpoint ({told[:200] or 'the job says nothing more'})")


def half_ready(workers: Sequence[WorkerRecord], n_workers: int, seconds: float) -> RetryableError:
    """A gang of which not all came up in time."""
    up = sum(one.up for one in workers)
    why = next((f"; worker {one.number}: {one.waiting}" for one in workers if not one.up and one.waiting), "")
    return RetryableError(
        f"all {n_workers} workers must run within {seconds:.0f} s (cluster.training.start_deadline), found {up}{why}; "
        "they are removed, and the step is tried again"
    )


def cannot_start(workers: Collection[WorkerRecord]) -> ConfigError | None:
    """Why a worker will never start, or none."""
    for one in workers:
        if one.waits_for_ever:
            return ConfigError(
                f"worker {one.number} ({one.pod}) cannot start: {one.waiting}; mend cluster.images or cluster.secrets"
            )
    return None


def _final_error(worker: WorkerRecord) -> AlmanacError:
    code = worker.exit_code or int(ExitCode.BUG)
    lines = _LINE.findall(worker.message) or worker.message.splitlines() or ["it said nothing"]
    kind = _ERRORS.get(code, AlmanacError)
    return kind(f"worker {worker.number} ({worker.pod}) ended with {code}: {lines[-1]}")


def _taken_away(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions", []):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    reason = status.get("reason", "")
    return f"{reason} {status.get('message', '')}".strip() if reason in _TAKEN_AWAY else ""


def _unscheduled(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    return ""
