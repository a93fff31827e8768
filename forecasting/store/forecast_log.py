"""Writes forecasts to the store behind the back of whoever answers, who never waits for the database."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError

from forecasting.errors import AlmanacError
from forecasting.store.forecasts import ForecastBatchRecord, write_forecasts
from forecasting.store.opening import Store
from forecasting.store.spill import (
    DamagedSpillError,
    ForecastSpill,
    claimed_spill,
    read_spill,
    set_aside,
    waiting_spills,
)

logger = logging.getLogger(__name__)

_AT_ONCE = 1_000
"""Forecasts of one transaction; short ones let others write."""
_REFUSALS = (DataError, ValueError, TypeError, OverflowError)
"""What the driver says of a value that it cannot write, such as a text with a NUL character or half a surrogate pair."""
_NOT_NOW = (AlmanacError, DBAPIError)
"""Everything else: a database that is away, that only reads, or in which a right or a partition is missing."""


@dataclass(frozen=True)
class ForecastLogReport:
    """Forecasts since the log was opened.

    waiting: in memory now. written: in the store, those that had been spilled among them. spilled: went to a file
    because the store was busy, away or too slow. refused: are nowhere, because neither database nor file can hold them; the
    log of the process says of which request they were.
    """

    waiting: int
    written: int
    spilled: int
    refused: int


class ForecastLog:
    """A queue in memory and one thread that writes it to the store every `flush_interval_s`.

    What is never lost, and what may be:

    - SIGTERM: nothing. `close` writes what is waiting, to a file where the store does not take it.
    - The store is busy, away or too slow: nothing. Batches go to files of `spill_dir` and from there into the store once
      it is back, by this process or the next one.
    - kill -9 or a crash: what came in the last `flush_interval_s`, and the batch that is being written.
    """

    def __init__(self, store: Store, spill_dir: Path, *, flush_interval_s: float, queue_size: int) -> None:
        """Start the thread.

        Args:
            store: Where forecasts go.
            spill_dir: Where those go that the store cannot take now.
            flush_interval_s: How often they are written.
            queue_size: Forecasts that may wait in memory; more go to `spill_dir` at once.
        """
        self._store, self._spill_dir, self._spill = store, spill_dir, ForecastSpill(spill_dir)
        self._flush_interval_s, self._queue_size = flush_interval_s, queue_size
        self._waiting: deque[ForecastBatchRecord] = deque()
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._n_waiting = self._n_written = self._n_spilled = self._n_refused = 0
        self._in_hand: list[ForecastBatchRecord] = []
        self._unreadable: set[Path] = set()
        self._thread = threading.Thread(target=self._write_until_closed, name="forecast-log", daemon=True)
        self._thread.start()

    def append(self, batch: ForecastBatchRecord) -> None:
        """Take forecasts to write; returns at once.

        Raises:
            RuntimeError: The log was closed.
        """
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("a closed forecast log takes no forecasts")
            if self._n_waiting + len(batch) <= self._queue_size:
                self._waiting.append(batch)
                self._n_waiting += len(batch)
                return
        self._put_aside([batch])

    @property
    def is_alive(self) -> bool:
        """Whether somebody writes what is appended; false once it is closed."""
        return self._thread.is_alive()

    def report(self) -> ForecastLogReport:
        """What became of the forecasts so far."""
        with self._lock:
            return ForecastLogReport(self._n_waiting, self._n_written, self._n_spilled, self._n_refused)

    def close(self, *, timeout_s: float = 10.0) -> ForecastLogReport:
        """Write what is waiting; what the store has not taken within the time goes to a file.

        Args:
            timeout_s: How long the store has.
        """
        with self._lock:
            self._closing.set()
        self._thread.join(timeout_s)
        with self._lock:
            left = [*self._in_hand, *self._waiting]
            self._waiting.clear()
            self._n_waiting = 0
        if left:
            # The thread hangs in the driver. Should it come through after all, what is written twice is there once.
            self._put_aside(left)
        self._spill.seal()
        return self.report()

    def _write_until_closed(self) -> None:
        while not self._closing.wait(self._flush_interval_s):
            self._write_guarded(with_files=True)
        self._write_guarded(with_files=False)

    def _write_guarded(self, *, with_files: bool) -> None:
        try:
            if self._write_waiting() and with_files:
                self._write_spilled()
        except Exception:
            # Nobody waits for this thread: were it to end, all forecasts from now on would only wait.
            logger.exception("forecasts were not written to the store; what was in hand goes to %s", self._spill_dir)
            self._put_aside(self._in_hand)
            self._let_go()

    def _write_waiting(self) -> bool:
        """Write what is waiting; false where the store does not take it."""
        while batches := self._taken():
            try:
                written = write_forecasts(self._store, batches)
            except _REFUSALS as error:
                written = self._write_halves(batches, error)
            except _NOT_NOW as error:
                logger.warning("forecasts go to %s until the store takes them: %s", self._spill_dir, self._why(error))
                self._put_aside(batches)
                self._let_go()
                return False
            self._let_go(written)
        return True

    def _taken(self) -> list[ForecastBatchRecord]:
        """Some of what is waiting, in this thread's hands until `_let_go`."""
        with self._lock:
            n_taken = 0
            while self._waiting and n_taken < _AT_ONCE:
                batch = self._waiting.popleft()
                self._in_hand.append(batch)
                n_taken += len(batch)
            self._n_waiting -= n_taken
            return list(self._in_hand)

    def _let_go(self, written: int = 0) -> None:
        with self._lock:
            self._in_hand.clear()
            self._n_written += written

    def _put_aside(self, batches: Sequence[ForecastBatchRecord]) -> None:
        for batch in batches:
            try:
                self._spill.append([batch])
            except (OSError, TypeError, ValueError) as error:
                logger.error("%d forecasts are lost: %s cannot be written: %s", len(batch), self._spill_dir, error)
                with self._lock:
                    self._n_refused += len(batch)
            else:
                with self._lock:
                    self._n_spilled += len(batch)

    def _write_halves(self, batches: Sequence[ForecastBatchRecord], error: Exception) -> int:
        """One forecast is what no database takes, such as an id with a NUL character; the others are not to suffer."""
        halves = _halves(batches)
        if not halves:
            (batch,) = batches
            why = self._why(error)
            logger.error(
                "the store refuses the forecast of %r of request %r: %s", list(batch.series), batch.request, why
            )
            with self._lock:
                self._n_refused += len(batch)
            return 0
        written = 0
        for half in halves:
            try:
                written += write_forecasts(self._store, half)
            except _REFUSALS as found:
                written += self._write_halves(half, found)
            except _NOT_NOW as found:
                logger.warning("forecasts go to %s until the store takes them: %s", self._spill_dir, self._why(found))
                self._put_aside(half)
        return written

    def _why(self, error: Exception) -> str:
        return self._store.address.scrubbed(str(getattr(error, "orig", None) or error))

    def _write_spilled(self) -> None:
        """Bring files of this process and of those that have died into the store."""
        paths = waiting_spills(self._spill_dir)
        if not paths:
            return
        self._spill.seal()
        for path in paths:
            if self._closing.is_set():
                return
            if path in self._unreadable:
                continue
            try:
                with claimed_spill(path) as claimed:
                    if claimed and not self._write_file(path):
                        return
            except OSError as error:
                logger.error("%s stays until the next start: %s", path, error)
                self._unreadable.add(path)

    def _write_file(self, path: Path) -> bool:
        written, damage = 0, None
        try:
            batches: list[ForecastBatchRecord] = []
            try:
                for batch in read_spill(path):
                    batches.append(batch)
                    if sum(len(one) for one in batches) >= _AT_ONCE:
                        written += self._written(batches)
                        batches = []
            except DamagedSpillError as error:
                damage = error
            written += self._written(batches)
        except _NOT_NOW as error:
            logger.warning("%s stays until the store takes it: %s", path, self._why(error))
            return False
        if damage is None:
            path.unlink()
        else:
            logger.error("%s; the file stays as %s", damage, set_aside(path))
        logger.info("%d forecasts of %s are in the store", written, path)
        with self._lock:
            self._n_written += written
        return True

    def _written(self, batches: Sequence[ForecastBatchRecord]) -> int:
        try:
            return write_forecasts(self._store, batches)
        except _REFUSALS as error:
            return self._write_halves(batches, error)


def _halves(batches: Sequence[ForecastBatchRecord]) -> list[Sequence[ForecastBatchRecord]]:
    """Batches in two parts, the series of one batch where there is one; none where nothing can be parted."""
    if len(batches) > 1:
        return [batches[: len(batches) // 2], batches[len(batches) // 2 :]]
    (batch,) = batches
    middle = len(batch) // 2
    return [[batch.part(0, middle)], [batch.part(middle, len(batch))]] if middle else []
