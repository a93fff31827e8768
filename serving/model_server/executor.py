"""Run models: on the event loop where that is cheaper, on threads, in batches; within limits and deadlines."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from serving.model_server.backends import Arrays, Backend
from serving.model_server.batching import BatchingConfig, BatchQueues
from serving.model_server.metrics import OWN_REFUSED, ServerMetrics
from serving.model_server.refusals import RefusalPace
from serving.model_server.served_version import ServedVersion
from serving.model_server.status import OverloadError, RequestError, StatusCode, deadline_passed

Results = list[npt.NDArray[Any]]
_LOOK_S = 0.02
_SHARE_TO_WAIT = 0.5
"""Of the time until a deadline, what a call may be expected to wait: the rest is for the call, and for errors of what is expected."""


@dataclass(frozen=True)
class LimitsConfig:
    """How much may happen at the same time; more is refused."""

    n_workers: int = 4
    max_queued: int = 1000
    """Model calls that wait for a thread."""
    max_wait_s: float = 3.0
    """Longest time that a call may be expected to wait for a thread."""
    max_concurrent: int = 10_000
    """Requests in the server, over both transports."""
    n_batch_slots: int = 4
    refusals_per_s: float = 200.0
    """Refusals of model calls that are told at once; see RefusalPace."""


class ModelExecutor:
    """Runs versions."""

    def __init__(self, limits: LimitsConfig, metrics: ServerMetrics) -> None:
        """Start no thread yet."""
        self._limits, self._metrics = limits, metrics
        self._workers = ThreadPoolExecutor(max_workers=limits.n_workers, thread_name_prefix="model")
        self._slots = asyncio.Semaphore(limits.n_batch_slots)
        self._n_calls = 0
        self._n_requests = 0
        self._ahead_s = 0.0
        self.refusals = RefusalPace(limits.refusals_per_s)

    def admit(self) -> None:
        """Count a request in; `leave` counts it out.

        Raises:
            RequestError: RESOURCE_EXHAUSTED: there are too many.
        """
        if self._n_requests >= self._limits.max_concurrent:
            self._metrics.count(OWN_REFUSED, "concurrency")
            raise RequestError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"the server answers {self._limits.max_concurrent} requests at a time; try again",
            )
        self._n_requests += 1

    def leave(self) -> None:
        """Count a request out."""
        self._n_requests -= 1

    @property
    def n_requests(self) -> int:
        """Requests in the server."""
        return self._n_requests

    def queues(self, served: ServedVersion, config: BatchingConfig) -> BatchQueues:
        """Batching for a version."""

        async def run(feeds: Arrays, fetches: Sequence[str]) -> Results:
            return await self._on_thread(served, feeds, fetches, None)

        return BatchQueues(config, run, self._slots, self._metrics)

    async def run(
        self, served: ServedVersion, feeds: Arrays, fetches: Sequence[str], deadline_s: float | None = None
    ) -> Results:
        """Run a version.

        Args:
            served: An available version.
            feeds: Arrays by tensor.
            fetches: Tensors.
            deadline_s: Time on the monotonic clock after which the answer is of no use.

        Returns:
            The values of `fetches`.

        Raises:
            RequestError: The model refuses the input, the time is over, or too much waits already.
        """
        backend = served.require_backend()
        if served.queues is not None:
            served.n_in_flight += 1
            try:
                return await served.queues.run(feeds, fetches, deadline_s)
            finally:
                served.release()
        n_bytes = sum(array.nbytes for array in feeds.values())
        if served.pace.inline(n_bytes):
            results, seconds = _timed(backend, feeds, fetches)
            served.pace.note(seconds, n_bytes)
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise deadline_passed()
            return results
        return await _within(self._on_thread(served, feeds, fetches, deadline_s), deadline_s)

    def require_room(self, served: ServedVersion, deadline_s: float | None) -> None:
        """Refuse a call that would have to wait too long, before anything is spent on its body.

        Raises:
            OverloadError: RESOURCE_EXHAUSTED.
        """
        if self.must_wait(served):
            self._require_room(deadline_s)

    def must_wait(self, served: ServedVersion) -> bool:
        """Whether a call would have to wait for a thread."""
        return self._n_calls >= self._limits.n_workers and served.queues is None and not served.pace.inline(0)

    async def close(self, limit_s: float) -> bool:
        """Drop the calls that wait for a thread and give those that run some seconds; whether they came back."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        deadline_s = time.monotonic() + limit_s
        while self._n_calls and time.monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_S)
        return self._n_calls == 0

    async def _on_thread(
        self, served: ServedVersion, feeds: Arrays, fetches: Sequence[str], deadline_s: float | None
    ) -> Results:
        """Run a version on a worker thread; a call whose caller gave up before a thread was free is never run.

        The version counts as in use until the thread is done, even where the caller gave up before:
        a session must not be closed under a call.
        """
        self._require_room(deadline_s)
        backend, expected_s = served.require_backend(), served.pace.expected_s
        served.n_in_flight += 1
        self._n_calls += 1
        self._ahead_s += expected_s
        waiting = self._workers.submit(_timed, backend, feeds, fetches)
        call = asyncio.wrap_future(waiting)
        call.add_done_callback(lambda _: self._finish(served, expected_s))
        try:
            results, seconds = await asyncio.shield(call)
        except asyncio.CancelledError:
            # Of no effect on a call that a thread has taken.
            waiting.cancel()
            raise
        served.pace.note(seconds, sum(array.nbytes for array in feeds.values()))
        return results

    def _require_room(self, deadline_s: float | None) -> None:
        limits, n_waiting = self._limits, self._n_calls - self._limits.n_workers
        if n_waiting < 0:
            return
        if n_waiting >= limits.max_queued:
            self._metrics.count(OWN_REFUSED, "queue")
            raise OverloadError(
                StatusCode.RESOURCE_EXHAUSTED, f"{limits.max_queued} model calls wait already; try again"
            )
        left_s = limits.max_wait_s
        if deadline_s is not None:
            left_s = min(left_s, _SHARE_TO_WAIT * (deadline_s - time.monotonic()))
        if (wait_s := self._ahead_s / limits.n_workers) > left_s:
            self._metrics.count(OWN_REFUSED, "wait")
            raise OverloadError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"a model call would wait {wait_s:.2g} s for its turn, and may wait {max(left_s, 0.0):.2g} s; try again",
            )

    def _finish(self, served: ServedVersion, expected_s: float) -> None:
        self._n_calls -= 1
        self._ahead_s = self._ahead_s - expected_s if self._n_calls else 0.0
        served.release()


def _timed(backend: Backend, feeds: Arrays, fetches: Sequence[str]) -> tuple[Results, float]:
    """Run a model; the results and the seconds it took.

    By the clock, not by CPU time: asking for the CPU time of a thread can cost more than a small model.
    """
    start = time.perf_counter()
    results = backend.run(feeds, fetches)
    return results, time.perf_counter() - start


async def _within(answer: Awaitable[Results], deadline_s: float | None) -> Results:
    if deadline_s is None:
        return await answer
    try:
        async with asyncio.timeout(deadline_s - time.monotonic()):
            return await answer
    except TimeoutError as error:
        raise deadline_passed() from error
