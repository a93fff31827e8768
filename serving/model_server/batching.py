"""Batching of requests: one queue for what feeds and fetches the same tensors of a version.

Rules and texts follow batching/batching_session.cc and TensorFlow's shared_batch_scheduler.h. One
thing is ours: with `enable_large_batch_splitting`, requests larger than `max_batch_size` are split too.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.model_server.backends import Arrays
from serving.model_server.metrics import (
    INPUT_BATCH_SIZE,
    PADDING_SIZE,
    PROCESSED_BATCH_SIZE,
    QUEUING_LATENCY,
    WRAPPED_RUN_COUNT,
    ServerMetrics,
)
from serving.model_server.status import OverloadError, RequestError, StatusCode, deadline_passed, invalid

_MAX_QUEUES = 64
_QUEUED_TOO_LONG = "Run() timeout exceeded while waiting in batching queue"

Results = list[npt.NDArray[Any]]
Run = Callable[[Arrays, Sequence[str]], Awaitable[Results]]


@dataclass(frozen=True)
class BatchingConfig:
    """`BatchingParameters`, with the defaults of TensorFlow Serving."""

    max_batch_size: int = 1000
    batch_timeout_s: float = 0.0
    max_enqueued_batches: int = 10
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    split_large: bool = False
    max_execution_batch_size: int = 1000

    def require_consistent(self) -> None:
        """Check the sizes against each other.

        Raises:
            RequestError: INVALID_ARGUMENT, in TensorFlow Serving's words.
        """
        if self.max_batch_size < 1:
            raise invalid(f"input_batch_size_limit must be positive; was {self.max_batch_size}")
        if self.batch_timeout_s < 0:
            raise invalid(f"batch_timeout_micros must be non-negative; was {self.batch_timeout_s * 1e6:.0f}")
        if self.max_enqueued_batches < 1:
            raise invalid(f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}")
        if self.max_execution_batch_size < 1:
            raise invalid(f"max_execution_batch_size must be positive; was {self.max_execution_batch_size}")
        if self.split_large and self.max_batch_size < self.max_execution_batch_size:
            raise invalid(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
                f"max_execution_batch_size, found {self.max_batch_size} and {self.max_execution_batch_size}"
            )
        sizes = self.allowed_batch_sizes
        if sizes and sizes[-1] != self.max_batch_size:
            raise invalid(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{sizes[-1]}; expected {self.max_batch_size}"
            )
        if list(sizes) != sorted(set(sizes)):
            raise invalid("allowed_batch_sizes entries must be monotonically increasing")
        if sizes and sizes[0] < 1:
            raise invalid(f"allowed_batch_sizes entries must be positive; was {sizes[0]}")

    def padded_size(self, n_rows: int) -> int:
        """The allowed batch size that takes some rows."""
        return next((size for size in self.allowed_batch_sizes if size >= n_rows), n_rows)


@dataclass(eq=False)
class _Task:
    feeds: Arrays
    n_rows: int
    deadline_s: float | None
    enqueued_s: float
    answer: asyncio.Future[Results]
    begun: bool = False


@dataclass(eq=False)
class _Batch:
    tasks: list[_Task] = field(default_factory=list)
    n_rows: int = 0
    scheduled: bool = False
    closed: bool = False


class BatchQueues:
    """The queues of one version."""

    def __init__(self, config: BatchingConfig, run: Run, slots: asyncio.Semaphore, metrics: ServerMetrics) -> None:
        """Run batches with `run`, which takes arrays by tensor and returns the values of the fetches.

        Args:
            config: Sizes and times.
            run: Runs one batch.
            slots: How many batches may run at the same time, of all versions.
            metrics: Where to count.
        """
        self._config, self._run, self._slots, self._metrics = config, run, slots, metrics
        self._queues: dict[tuple[tuple[str, ...], tuple[str, ...]], _Queue] = {}

    async def run(self, feeds: Arrays, fetches: Sequence[str], deadline_s: float | None) -> Results:
        """Wait for a place in a batch and for its answer.

        Args:
            feeds: Arrays by tensor, each with the same number of rows.
            fetches: Tensors.
            deadline_s: Time on the monotonic clock after which the answer is of no use.

        Raises:
            RequestError: The rows do not fit, the queue is full, the time is over, or the model refuses the batch.
        """
        n_rows = _count_rows(feeds)
        for _ in feeds:
            self._metrics.observe(INPUT_BATCH_SIZE, n_rows)
        config = self._config
        if n_rows > config.max_batch_size and not config.split_large:
            raise invalid(f"Task size {n_rows} is larger than maximum input batch size {config.max_batch_size}")
        key = (tuple(sorted(feeds)), tuple(sorted(fetches)))
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= _MAX_QUEUES:
                self._queues = {kept: one for kept, one in self._queues.items() if not one.idle}
            queue = self._queues[key] = _Queue(config, self._run, key[1], self._slots, self._metrics)
        parts = _split(feeds, n_rows, config.max_execution_batch_size) if config.split_large else [feeds]
        found = await queue.submit(parts, deadline_s)
        joined = found[0] if len(found) == 1 else [np.concatenate(pieces) for pieces in zip(*found, strict=True)]
        by_name = dict(zip(key[1], joined, strict=True))
        return [by_name[name] for name in fetches]


class _Queue:
    def __init__(
        self,
        config: BatchingConfig,
        run: Run,
        fetches: Sequence[str],
        slots: asyncio.Semaphore,
        metrics: ServerMetrics,
    ) -> None:
        self._config, self._run, self._fetches = config, run, fetches
        self._slots, self._metrics = slots, metrics
        self._batches: deque[_Batch] = deque()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self._batches and not self._running

    async def submit(self, parts: Sequence[Arrays], deadline_s: float | None) -> list[Results]:
        """Put the parts of one request into batches; their answers.

        Raises:
            RequestError: The queue is full, the time is over (RESOURCE_EXHAUSTED for a request that still waits, as in
                TensorFlow Serving, DEADLINE_EXCEEDED for one that runs), or what the batch ended with.
        """
        loop = asyncio.get_running_loop()
        tasks = [
            _Task(feeds, _count_rows(feeds), deadline_s, time.monotonic(), loop.create_future()) for feeds in parts
        ]
        self._require_room(tasks)
        for task in tasks:
            self._place(task)
        try:
            async with asyncio.timeout(None if deadline_s is None else deadline_s - time.monotonic()):
                return await asyncio.gather(*(task.answer for task in tasks))
        except TimeoutError as error:
            if all(task.begun for task in tasks):
                raise deadline_passed() from error
            raise RequestError(StatusCode.RESOURCE_EXHAUSTED, _QUEUED_TOO_LONG) from error

    def _require_room(self, tasks: Sequence[_Task]) -> None:
        limit = self._config.max_execution_batch_size
        fits = (
            bool(self._batches) and not self._batches[-1].closed and self._batches[-1].n_rows + tasks[0].n_rows <= limit
        )
        if len(self._batches) + len(tasks) - fits > self._config.max_enqueued_batches:
            raise OverloadError(
                StatusCode.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
            )

    def _place(self, task: _Task) -> None:
        limit = self._config.max_execution_batch_size
        batch = self._batches[-1] if self._batches else None
        if batch is None or batch.closed or batch.n_rows + task.n_rows > limit:
            if batch is not None:
                self._close(batch)
            batch = _Batch()
            self._batches.append(batch)
            asyncio.get_running_loop().call_later(self._config.batch_timeout_s, self._schedule, batch)
        batch.tasks.append(task)
        batch.n_rows += task.n_rows
        if batch.n_rows >= limit:
            self._close(batch)

    def _close(self, batch: _Batch) -> None:
        batch.closed = True
        self._schedule(batch)

    def _schedule(self, batch: _Batch) -> None:
        """Let a batch run as soon as a slot is free; until then it takes more tasks, unless it is closed."""
        if batch.scheduled:
            return
        batch.scheduled = True
        running = asyncio.get_running_loop().create_task(self._process(batch))
        self._running.add(running)
        running.add_done_callback(lambda ended: self._ended(batch, ended))

    def _ended(self, batch: _Batch, ended: asyncio.Task[None]) -> None:
        """Hand whatever ended a batch to all its requests: none must wait for an answer that will not come."""
        self._running.discard(ended)
        error = None if ended.cancelled() else ended.exception()
        for task in batch.tasks:
            if task.answer.done():
                continue
            if error is None:
                task.answer.cancel()
            else:
                # Each gets a RequestError of its own: raising one adds to its traceback.
                kind = OverloadError if isinstance(error, OverloadError) else RequestError
                own = kind(error.code, error.message) if isinstance(error, RequestError) else error
                task.answer.set_exception(own)

    async def _process(self, batch: _Batch) -> None:
        async with self._slots:
            batch.closed = True
            self._batches.remove(batch)
            await self._execute(batch)

    async def _execute(self, batch: _Batch) -> None:
        now = time.monotonic()
        if all(task.deadline_s is not None and task.deadline_s < now for task in batch.tasks):
            raise RequestError(StatusCode.RESOURCE_EXHAUSTED, _QUEUED_TOO_LONG)
        self._note_waits(batch, now)
        results = await self._run(self._merge(batch), self._fetches)
        self._hand_out(batch, results)

    def _note_waits(self, batch: _Batch, now: float) -> None:
        for task in batch.tasks:
            task.begun = True
            self._metrics.observe(QUEUING_LATENCY, (now - task.enqueued_s) * 1e6, self._config.thread_pool_name)
        self._metrics.count(WRAPPED_RUN_COUNT)

    def _merge(self, batch: _Batch) -> Arrays:
        size = self._config.padded_size(batch.n_rows)
        n_padding = max(0, size - batch.n_rows)
        self._metrics.observe(PADDING_SIZE, n_padding, str(size))
        self._metrics.observe(PROCESSED_BATCH_SIZE, size)
        return {name: self._merge_one(name, batch, n_padding) for name in batch.tasks[0].feeds}

    def _merge_one(self, name: str, batch: _Batch, n_padding: int) -> npt.NDArray[Any]:
        arrays = [task.feeds[name] for task in batch.tasks]
        if self._config.pad_variable_length_inputs:
            arrays = _padded(arrays)
        elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            raise RequestError(
                StatusCode.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
                "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
                "starting with the first dim.",
            )
        if n_padding:
            arrays = [*arrays, np.repeat(arrays[-1][:1], n_padding, axis=0)]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def _hand_out(self, batch: _Batch, results: Results) -> None:
        n_rows = self._config.padded_size(batch.n_rows)
        for array in results:
            if array.ndim == 0:
                raise RequestError(StatusCode.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
            if len(array) != n_rows:
                raise RequestError(
                    StatusCode.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
                )
        first = 0
        for task in batch.tasks:
            if not task.answer.done():
                task.answer.set_result([array[first : first + task.n_rows] for array in results])
            first += task.n_rows


def _count_rows(feeds: Arrays) -> int:
    arrays = list(feeds.values())
    if not arrays:
        raise invalid("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in arrays):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    if any(len(array) != len(arrays[0]) for array in arrays):
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return len(arrays[0])


def _split(feeds: Arrays, n_rows: int, limit: int) -> list[Arrays]:
    starts = range(0, max(n_rows, 1), limit)
    return [{name: array[start : start + limit] for name, array in feeds.items()} for start in starts]


def _padded(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Arrays with all sizes but the first brought to the largest; each is filled up with its own first value."""
    if len({array.ndim for array in arrays}) > 1:
        raise invalid("Tensors to be padded must have the same rank")
    sizes = [max(array.shape[axis] for array in arrays) for axis in range(1, arrays[0].ndim)]
    found = []
    for array in arrays:
        if not array.size:
            raise invalid("Got empty tensor in batch of non-empty tensors.")
        padded = np.full((len(array), *sizes), array.flat[0], dtype=array.dtype)
        padded[tuple(slice(size) for size in array.shape)] = array
        found.append(padded)
    return found
