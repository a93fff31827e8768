"""The order of windows and their way into the replicas, gathered ahead by a thread of its own.

The order of an epoch depends on the seed and the epoch alone. Every worker draws the whole order and
takes its own part of every global batch, so the same windows make a step whatever the number of workers.
"""

import queue
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.errors import ConfigError
from forecasting.neural.batches import WindowGather
from forecasting.neural.buffers import TensorBuffers, shared_tensor
from forecasting.neural.lengths import batches_of_like_length
from forecasting.neural.strategy import worker_place

Batch = Any
_AHEAD = 2
"""Batches that lie ready: one on its way, one in reserve."""


@dataclass(frozen=True)
class StepBatch:
    """One step's windows: their numbers over all workers `[B]`, and the tensors of this worker's replicas."""

    numbers: npt.NDArray[np.int64]
    tensors: Batch


class WindowFeed:
    """Batches for the replicas of this worker."""

    def __init__(self, gather: WindowGather, strategy: tf.distribute.Strategy, batch_size: int) -> None:
        """Feed of global batches of `batch_size` windows.

        Raises:
            ConfigError: A batch cannot be parted evenly.
        """
        n_replicas = strategy.num_replicas_in_sync
        if batch_size % n_replicas:
            raise ConfigError(
                f"training.batch_size must be a multiple of the {n_replicas} replicas, found {batch_size}; "
                f"take {batch_size - batch_size % n_replicas or n_replicas}"
            )
        worker, n_workers = worker_place(strategy)
        self._gather, self._strategy = gather, strategy
        self._n_local = n_replicas // n_workers
        part = batch_size // n_replicas
        first = worker * self._n_local
        self._parts = [slice((first + i) * part, (first + i + 1) * part) for i in range(self._n_local)]
        self._buffers = TensorBuffers()
        self.batch_size = batch_size

    def epoch_order(self, n_steps: int, *, seed: int, epoch: int) -> npt.NDArray[np.int32]:
        """Windows of the steps of an epoch: shuffled, and where they differ in length, in batches of like length."""
        lengths = self._gather.lengths
        order = epoch_order(len(lengths), n_steps * self.batch_size, seed=seed, epoch=epoch)
        if (lengths == lengths[0]).all():
            return order
        # A stream of its own: that of the order is used up.
        rng = np.random.default_rng((seed, epoch, 1))
        return batches_of_like_length(order, lengths, batch_size=self.batch_size, rng=rng)

    def batches(self, order: npt.NDArray[np.integer[Any]], first: int = 0) -> Generator[StepBatch]:
        """Batch after batch of an order of windows, from batch `first` on; a rest that fills no batch is left out."""
        size = self.batch_size
        numbers = [order[i * size : (i + 1) * size] for i in range(first, len(order) // size)]
        with closing(_ahead(self, numbers)) as stream:
            yield from stream

    def padded(self, order: npt.NDArray[np.integer[Any]]) -> Generator[StepBatch]:
        """Every window of an order, the last batch filled up with windows whose target is missing."""
        rest = -len(order) % self.batch_size
        return self.batches(np.concatenate([order, np.full(rest, -1, dtype=order.dtype)]))

    def local_parts(self, numbers: npt.NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        """Tensors of each replica of this worker; a number below 0 is a window without target."""
        # Replicas run one graph, so all of them have the length of the whole batch.
        parts, length = [], self._gather.length(np.maximum(numbers, 0))
        for place in self._parts:
            own = numbers[place]
            history = self._buffers.take((len(own), length, self._gather.planes.shape[1]))
            arrays = self._gather.arrays(np.maximum(own, 0), history=history)
            if (own < 0).any():
                arrays["present"] = arrays["present"] * (own >= 0).astype(np.float32)[:, None]
            small = {name: tf.constant(array) for name, array in arrays.items() if name != "history"}
            parts.append({"history": shared_tensor(history), **small})
        return parts

    def on_replicas(self, parts: Sequence[dict[str, Any]]) -> Batch:
        """What `strategy.run` takes."""
        if self._n_local == 1:
            return parts[0]
        rest = iter(parts)
        return self._strategy.experimental_distribute_values_from_function(lambda _: next(rest))


def epoch_order(n_windows: int, n_taken: int, *, seed: int, epoch: int) -> npt.NDArray[np.int32]:
    """The windows of an epoch, shuffled, the first `n_taken` of them."""
    return np.random.default_rng((seed, epoch)).permutation(n_windows)[:n_taken].astype(np.int32)


def _ahead(feed: WindowFeed, orders: Sequence[npt.NDArray[np.integer[Any]]]) -> Generator[StepBatch]:
    """Gather in a thread: NumPy lets go of the interpreter while it copies, TensorFlow while it computes."""
    ready: queue.Queue[tuple[Any, list[dict[str, Any]]] | BaseException | None] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def put(item: tuple[Any, list[dict[str, Any]]] | BaseException | None) -> None:
        while not ended.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def gather() -> None:
        try:
            for numbers in orders:
                if ended.is_set():
                    return
                put((numbers, feed.local_parts(numbers)))
            put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the batch
            put(error)

    thread = threading.Thread(target=gather, name="window-feed", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            numbers, parts = item
            yield StepBatch(numbers, feed.on_replicas(parts))
    finally:
        ended.set()
        thread.join()
