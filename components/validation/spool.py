"""Typed rows on their way through validation: in memory while they are few, else in scratch files.

A spool takes rows in the order of the source. It is then parted by ranges of series, so that each part holds whole
series and about as many rows as are checked at once; what follows sees one part at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

SERIES, TIME, ROW = "series", "time", "row"
"""Columns that every spool has: number of the series, UTC epoch seconds, place of the row in the source."""
_WRITE_ROWS = 1 << 18
"""Rows that are written or sorted into parts at once."""
_MAX_PARTS = 256
"""Files that are open at once; a table of more rows has larger parts."""


class RowSpool:
    """Rows in the order in which they were added."""

    def __init__(self, folder: Path, *, n_in_memory: int) -> None:
        """A spool that writes into `folder` once it has more rows than `n_in_memory`."""
        self._path = folder / "rows.arrow"
        self._n_in_memory = n_in_memory
        self._batches: list[pa.RecordBatch] = []
        self._n_waiting = 0
        self._file: pa.ipc.RecordBatchStreamWriter | None = None
        self.n_rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows; all batches have one schema."""
        self._batches.append(batch)
        self._n_waiting += batch.num_rows
        self.n_rows += batch.num_rows
        is_due = self._n_waiting >= _WRITE_ROWS if self._file else self._n_waiting > self._n_in_memory
        if is_due:
            self._write()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows again."""
        if self._file is None:
            yield from self._batches
            return
        self._write()
        self._file.close()
        with pa.OSFile(str(self._path), "rb") as stream, pa.ipc.open_stream(stream) as reader:
            yield from reader

    def drop(self) -> None:
        """Forget the rows."""
        self._batches, self._n_waiting = [], 0
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        if not self._batches:
            return
        if self._file is None:
            self._file = pa.ipc.new_stream(str(self._path), self._batches[0].schema)
        for batch in _joined(self._batches):
            self._file.write_batch(batch)
        self._batches, self._n_waiting = [], 0


@dataclass(frozen=True)
class PartSpec:
    """Which series are in a part: numbers `first` up to, but not at, `end` in order of id."""

    first: int
    end: int


def plan_parts(n_rows: Ints, limit: int) -> tuple[PartSpec, ...]:
    """Ranges of series that hold at most `limit` rows, or one series that has more.

    Args:
        n_rows: Rows of each series in order of id `[N]`.
        limit: Rows of a part; raised where there would be too many parts.
    """
    limit = max(limit, -(-int(n_rows.sum()) // (_MAX_PARTS // 2)))
    parts, first, held = [], 0, 0
    for number, rows in enumerate(n_rows.tolist()):
        if held and held + rows > limit:
            parts.append(PartSpec(first, number))
            first, held = number, 0
        held += rows
    return (*parts, PartSpec(first, len(n_rows)))


class PartedRows:
    """The rows of a spool by parts, each in the order of the source; the spool itself is dropped."""

    def __init__(self, spool: RowSpool, numbers: Ints, parts: Sequence[PartSpec], *, folder: Path, end: int) -> None:
        """Part a spool.

        Args:
            spool: Its column `SERIES` is by order of appearance.
            numbers: For each of these the number in order of id, -1 where the series is left out `[n]`.
            parts: Ranges of numbers.
            folder: For scratch files, where there is more than one part.
            end: Rows at or after this time (UTC epoch seconds) are left out.
        """
        self._numbers, self._parts, self._folder, self._end = numbers, tuple(parts), folder, end
        self._whole: pa.RecordBatch | None = None
        if len(parts) == 1:
            (self._whole,) = _joined([self._kept(batch) for batch in spool.batches()])
        else:
            self._distribute(spool)
        spool.drop()

    def rows(self, part: int) -> pa.RecordBatch:
        """Rows of a part; its column `SERIES` counts from the first series of the part on."""
        if self._whole is not None:
            return self._whole
        with pa.OSFile(str(self._path(part)), "rb") as stream, pa.ipc.open_stream(stream) as reader:
            (batch,) = _joined(list(reader))
        return batch

    def _path(self, part: int) -> Path:
        return self._folder / f"rows-{part:04d}.arrow"

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows that count, with numbers in order of id."""
        numbers = self._numbers[batch.column(SERIES).to_numpy()]
        kept = (numbers >= 0) & (batch.column(TIME).to_numpy() < self._end)
        renumbered = batch.set_column(batch.schema.get_field_index(SERIES), SERIES, pa.array(numbers, pa.int32()))
        return renumbered if kept.all() else renumbered.filter(pa.array(kept))

    def _distribute(self, spool: RowSpool) -> None:
        part_of = np.repeat(
            np.arange(len(self._parts), dtype=np.int16), [part.end - part.first for part in self._parts]
        )
        firsts = np.asarray([part.first for part in self._parts], dtype=np.int32)
        files: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for whole in _joined_by(spool.batches(), _WRITE_ROWS):
            batch = self._kept(whole)
            numbers = batch.column(SERIES).to_numpy()
            owners = part_of[numbers]
            batch = batch.set_column(batch.schema.get_field_index(SERIES), SERIES, pa.array(numbers - firsts[owners]))
            order = np.argsort(owners, kind="stable")
            is_sorted = bool(np.all(owners[1:] >= owners[:-1]))
            ordered = batch if is_sorted else batch.take(pa.array(order))
            bounds = np.searchsorted(owners[order], np.arange(len(self._parts) + 1))
            for part in np.flatnonzero(np.diff(bounds)).tolist():
                if part not in files:
                    files[part] = pa.ipc.new_stream(str(self._path(part)), ordered.schema)
                files[part].write_batch(ordered.slice(bounds[part], bounds[part + 1] - bounds[part]))
        for file in files.values():
            file.close()


def _joined(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """One batch of all rows."""
    return [pa.concat_batches(batches)] if len(batches) > 1 else list(batches)


def _joined_by(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of at least `n_rows`, but for the last."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= n_rows:
            yield from _joined(waiting)
            waiting = []
    yield from _joined(waiting)
