"""A job from its making to its end: found again by a later attempt, watched, judged, removed."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from components.launching.job_api import JobApi, adoptable, check_owned, failure_of, succeeded
from components.launching.job_spec import RUNTIME_PLURAL, JobSpec
from components.launching.manifests import job_documents
from components.launching.worker_record import WorkerRecord, cannot_start, end_of, half_ready
from forecasting.durations import duration_s
from forecasting.errors import RetryableError

logger = logging.getLogger(__name__)

_LOOK_S = 20
"""A watch ends after so many seconds, and job and pods are read again."""
_SLACK_S = 60
"""Beyond the grace of its pods: how long a job may take to go."""


@dataclass(frozen=True)
class Waiting:
    """How time passes. look_s: longest time between two looks at a job; log_pause_s: between two streams of a log."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    look_s: int = _LOOK_S
    log_pause_s: float = 2.0


class JobRun:
    """One job of a step."""

    def __init__(self, api: JobApi, spec: JobSpec, waiting: Waiting) -> None:
        """Asks nothing yet."""
        self._api, self._spec, self._waiting = api, spec, waiting
        self._documents = job_documents(spec)
        self._training = spec.launch.cluster.training
        self._seen: dict[str, WorkerRecord] = {}
        self._all_up = False
        self.verdict: Literal["", "failed", "stuck"] = ""
        """Why it will not go on: the job says that it failed, or its workers do not come up. Empty while it may, as far as is known."""

    def adopt(self) -> bool:
        """Find the job of an earlier attempt; whether it goes on, or went well. Any other one of this run is removed.

        Raises:
            RemoteError: The job of this name is of another run.
            RetryableError: A job of this run is still on its way out.
        """
        job = self._api.job(self._spec.name)
        if job is None:
            return False
        check_owned(job, self._spec.run)
        if adoptable(job, self._spec.key):
            logger.info("%s of an earlier attempt goes on", self._spec.name)
            return True
        logger.info("%s of an earlier attempt is removed", self._spec.name)
        self._remove(job)
        n_tries = duration_s(self._training.grace) + _SLACK_S
        self._api.await_gone(self._spec.name, tries=n_tries, sleep=self._waiting.sleep)
        if runtime := _runtime_of(job):
            self._api.await_gone(runtime, plural=RUNTIME_PLURAL, tries=n_tries, sleep=self._waiting.sleep)
        return False

    def create(self) -> None:
        """Make the resources. What is there already was made by a request whose answer was lost, or is refused.

        Raises:
            RemoteError: The job of this name is of another run.
        """
        for document in self._documents:
            self._api.create(document)
        job = self._api.job(self._spec.name)
        if job is None:
            raise RetryableError(f"{self._spec.name} was made and is gone; somebody removed it")
        check_owned(job, self._spec.run)
        logger.info("%s made: %d workers", self._spec.name, self._training.workers)

    def follow(self) -> None:
        """Wait until all workers have ended well.

        Raises:
            RetryableError: A worker was taken away or ended for a passing reason, not all came up in time, or the job was removed.
            AlmanacError: A worker ended with a final code; the error is of the kind of that code.
        """
        begun = self._waiting.clock()
        while True:
            job = self._api.job(self._spec.name)
            if job is None or "deletionTimestamp" in job["metadata"]:
                raise RetryableError(
                    f"{self._spec.name} was removed while its workers trained; the step is tried again"
                )
            workers = self._look()
            if succeeded(job, self._api.kind):
                return
            if told := failure_of(job):
                self.verdict = "failed"
                raise end_of(self._seen.values(), told)
            self._check_start(workers, self._waiting.clock() - begun)
            self._await_change(job["metadata"].get("resourceVersion", ""))

    def remove(self) -> None:
        """Have the job removed, and its workers before it; they save and end, which is not waited for."""
        job = self._api.job(self._spec.name)
        if job is not None and job["metadata"].get("annotations") == self._documents[-1]["metadata"]["annotations"]:
            self._remove(job)

    def _remove(self, job: dict[str, Any]) -> None:
        self._api.delete(self._spec.name, uid=job["metadata"].get("uid"))
        if runtime := _runtime_of(job):
            self._api.delete(runtime, plural=RUNTIME_PLURAL)

    def _look(self) -> list[WorkerRecord]:
        """Read the pods. What was seen of one that is gone is kept: a preempted pod does not stay until its job has failed."""
        workers = self._api.workers(self._spec.name)
        self._seen |= {worker.pod: worker for worker in workers}
        return workers

    def _check_start(self, workers: list[WorkerRecord], seconds: float) -> None:
        n_workers = self._training.workers
        self._all_up = self._all_up or sum(one.up for one in workers) >= n_workers
        if self._all_up:
            return
        late = seconds > duration_s(self._training.start_deadline)
        error = cannot_start(workers) or (half_ready(workers, n_workers, seconds) if late else None)
        if error is not None:
            self.verdict = "stuck"
            raise error

    def _await_change(self, version: str) -> None:
        """Return once something happened to the job, a watch is over, or at least a second has passed where it was lost."""
        before = self._waiting.clock()
        for change in self._api.changes(self._spec.name, version, seconds=self._waiting.look_s):
            if change != "LOST":
                return
        if self._waiting.clock() - before < 1.0:
            self._waiting.sleep(1.0)


def _runtime_of(job: dict[str, Any]) -> str:
    return str(job.get("spec", {}).get("runtimeRef", {}).get("name", ""))
