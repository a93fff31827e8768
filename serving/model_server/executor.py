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
from serving.model_server.served_version import ServedVersion
from serving.model_server.status import RequestError, StatusCode, deadline_passed

Results = list[npt.NDArray[Any]]
_LOOK_S = 0.02


@dataclass(frozen=True)
class LimitsConfig:
    """How much may happen at the same time; more is refused at once."""

    n_workers: int = 4
    max_queued: int = 1000
    """Model calls that wait for a thread."""
    max_concurrent: int = 10_000
    """Requests in the server, over both transports."""
    n_batch_slots: int = 4


class ModelExecutor:
    """Runs versions."""

    def __init__(self, limits: LimitsConfig, metrics: ServerMetrics) -> None:
        """Start no thread yet."""
        self._limits, self._metrics = limits, metrics
        self._workers = ThreadPoolExecutor(max_workers=limits.n_workers, thread_name_prefix="model")
        self._slots = asyncio.Semaphore(limits.n_batch_slots)
        self._n_calls = 0
        self._n_requests = 0

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
            return await self._on_thread(served, feeds, fetches)

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
        return await _within(self._on_thread(served, feeds, fetches), deadline_s)

    async def close(self, limit_s: float) -> bool:
        """Drop the calls that wait for a thread and give those that run some seconds; whether they came back."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        deadline_s = time.monotonic() + limit_s
        while self._n_calls and time.monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_S)
        return self._n_calls == 0

    async def _on_thread(self, served: ServedVersion, feeds: Arrays, fetches: Sequence[str]) -> Results:
        """Run a version on a worker thread.

        The version counts as in use until the thread is done, even where the caller gave up before:
        a session must not be closed under a call.
        """
        if self._n_calls >= self._limits.n_workers + self._limits.max_queued:
            self._metrics.count(OWN_REFUSED, "queue")
            raise RequestError(
                StatusCode.RESOURCE_EXHAUSTED, f"{self._limits.max_queued} model calls wait already; try again"
            )
        backend = served.require_backend()

        served.n_in_flight += 1
        self._n_calls += 1
        call = asyncio.get_running_loop().run_in_executor(self._workers, _timed, backend, feeds, fetches)
        call.add_done_callback(lambda _: self._finish(served))
        results, seconds = await asyncio.shield(call)
        served.pace.note(seconds, sum(array.nbytes for array in feeds.values()))
        return results

    def _finish(self, served: ServedVersion) -> None:
        self._n_calls -= 1
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
