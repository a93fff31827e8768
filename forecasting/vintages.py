"""Covariates by vintage: values that were issued again and again, such as weather forecasts.

A forecast made at an origin uses what was issued up to that origin and nothing later. The value that
stands for a step of the past is the one that stood when the step came; what was issued after it, such as
a correction, is never used, so the past of a series does not depend on who asks.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

SERIES_COLUMN = "series"
TIMESTAMP_COLUMN = "timestamp"
ISSUED_COLUMN = "issued_at"
NEVER = np.iinfo(np.int64).max
"""Stands for the issue of a value that there is not."""
_ROW_GROUP_ROWS = 1 << 18
_STAMP = pa.timestamp("s", tz="UTC")
_COUNTS_KEY = b"almanac.vintages"

Floats = npt.NDArray[np.float64]
Timestamps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SeriesVintages:
    """All vintages of some covariates of one series, sorted by time stamp, then by issue.

    columns: names (n). timestamp `[R]`: the step a row speaks of, UTC epoch seconds on the grid of the
    series. issued_at `[R]`: when it could be used first. values `[R,n]`: NaN only where no earlier issue
    has a value for that step either. shared: whether every series of the store has these very vintages.
    """

    columns: tuple[str, ...]
    timestamp: Timestamps
    issued_at: Timestamps
    values: Floats
    shared: bool = False

    def __len__(self) -> int:
        return len(self.timestamp)

    def known_at(self, origins: Timestamps, horizon: int, step_s: int) -> Floats:
        """What was known at some origins about the steps from each of them on.

        Args:
            origins: First forecast step of each window, UTC epoch seconds `[B]`.
            horizon: H.
            step_s: Step of the series.

        Returns:
            `[B,H,n]`: for each step the value issued last at or before the origin, NaN where there is none.
        """
        limits = np.asarray(origins, dtype=np.int64)
        steps = limits[:, None] + step_s * np.arange(horizon, dtype=np.int64)
        known = np.full((*steps.shape, len(self.columns)), np.nan)
        if not len(self):
            return known
        issues = np.searchsorted(self._issues, limits, side="right")
        wanted = (steps - self.timestamp[0]) * (len(self._issues) + 1) + issues[:, None]
        rows = np.searchsorted(self._keys, wanted.ravel(), side="right").reshape(steps.shape) - 1
        # The row found is the last one before (step, origin): of an earlier step where this step has none yet.
        found = (rows >= 0) & (self.timestamp[rows] == steps)
        known[found] = self.values[rows[found]]
        return known

    def standing(self, timestamps: Timestamps) -> Floats:
        """The values that stood when some steps `[T]` came, `[T,n]`, NaN where there were none."""
        return self.known_at(timestamps, 1, 1)[:, 0]

    def first_issued(self, timestamps: Timestamps) -> Timestamps:
        """When each column of some steps `[T]` was first known, `[T,n]`, `NEVER` where it was not."""
        first = np.full((len(timestamps), len(self.columns)), NEVER)
        for i, (steps, issued) in enumerate(self._first_issues):
            if len(steps):
                places = np.minimum(np.searchsorted(steps, timestamps), len(steps) - 1)
                first[:, i] = np.where(steps[places] == timestamps, issued[places], NEVER)
        return first

    @cached_property
    def _issues(self) -> Timestamps:
        return np.unique(self.issued_at)

    @cached_property
    def _keys(self) -> Timestamps:
        """Time stamp and issue as one number a row, ascending."""
        ranks = np.searchsorted(self._issues, self.issued_at, side="right")
        keys: Timestamps = (self.timestamp - self.timestamp[0]) * (len(self._issues) + 1) + ranks
        return keys

    @cached_property
    def _first_issues(self) -> tuple[tuple[Timestamps, Timestamps], ...]:
        """For each column the steps that have a value, and when they had it first."""
        found = []
        for i in range(len(self.columns)):
            filled = ~np.isnan(self.values[:, i])
            steps, places = np.unique(self.timestamp[filled], return_index=True)
            found.append((steps, self.issued_at[filled][places]))
        return tuple(found)


def no_vintages(columns: tuple[str, ...]) -> SeriesVintages:
    """Vintages of a series about which nothing was ever issued."""
    nothing = np.zeros(0, dtype=np.int64)
    return SeriesVintages(columns, nothing, nothing, np.zeros((0, len(columns))))


class VintagesWriter:
    """Writes vintages series by series; how many are given at once changes no byte of the file.

    Vintages that all series share are written once.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Begin a file."""
        self._schema = pa.schema(
            [
                (SERIES_COLUMN, pa.dictionary(pa.int32(), pa.string())),
                (TIMESTAMP_COLUMN, _STAMP),
                (ISSUED_COLUMN, _STAMP),
                *((name, pa.float64()) for name in columns),
            ]
        )
        self._writer = pq.ParquetWriter(path, self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._n_waiting = 0
        self._counts: list[int] = []
        self._shared = False

    def append(self, series_id: str, vintages: SeriesVintages) -> None:
        """Add those of one series; series come in the order of the store."""
        if vintages.shared and self._shared:
            return
        self._shared = self._shared or vintages.shared
        self._counts.append(len(vintages))
        name = None if vintages.shared else series_id
        stamps = (pa.array(column).cast(_STAMP) for column in (vintages.timestamp, vintages.issued_at))
        ids = pa.array([name], pa.string()).take(pa.array(np.zeros(len(vintages), dtype=np.int32)))
        values = [pa.array(vintages.values[:, i], from_pandas=True) for i in range(len(vintages.columns))]
        columns = [ids.dictionary_encode(), *stamps, *values]
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._n_waiting += len(vintages)
        if self._n_waiting >= _ROW_GROUP_ROWS:
            self._write(whole=True)

    def close(self) -> None:
        """Finish the file."""
        self._write(whole=False)
        counts = {"shared": self._shared, "n_rows": self._counts}
        self._writer.add_key_value_metadata({_COUNTS_KEY.decode(): json.dumps(counts)})
        self._writer.close()

    def _write(self, *, whole: bool) -> None:
        """Write what waits, as far as it fills row groups where `whole`."""
        table = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        end = table.num_rows // _ROW_GROUP_ROWS * _ROW_GROUP_ROWS if whole else table.num_rows
        if end:
            self._writer.write_table(table.slice(0, end), row_group_size=_ROW_GROUP_ROWS)
        self._waiting, self._n_waiting = table.slice(end).to_batches(), table.num_rows - end


class VintagesReader:
    """Reads the vintages of one series at a time."""

    def __init__(self, path: Path) -> None:
        """Open a file written by `VintagesWriter`."""
        self._file = pq.ParquetFile(path)
        metadata = self._file.metadata
        counts = json.loads(metadata.metadata[_COUNTS_KEY])
        self._shared, self._ends = bool(counts["shared"]), np.cumsum([0, *counts["n_rows"]])
        self.columns = tuple(self._file.schema_arrow.names[3:])
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._bounds = np.cumsum([0, *sizes])
        self._all: SeriesVintages | None = None
        self._groups: dict[int, pa.Table] = {}

    def vintages(self, number: int) -> SeriesVintages:
        """Vintages of a series by its place in the store."""
        if not self._shared:
            return self._read(int(self._ends[number]), int(self._ends[number + 1]))
        if self._all is None:
            self._all = self._read(0, int(self._ends[-1]))
        return self._all

    def _read(self, first: int, end: int) -> SeriesVintages:
        if first == end:
            return no_vintages(self.columns)
        low = int(np.searchsorted(self._bounds, first, side="right")) - 1
        high = int(np.searchsorted(self._bounds, end, side="left"))
        # Series are asked for in their order, and many lie in one group: the last ones stay in memory.
        kept = {group: self._groups.get(group) for group in range(low, high)}
        names = [TIMESTAMP_COLUMN, ISSUED_COLUMN, *self.columns]
        self._groups = {
            group: self._file.read_row_group(group, columns=names) if table is None else table
            for group, table in kept.items()
        }
        part = pa.concat_tables(self._groups.values()).slice(first - int(self._bounds[low]), end - first)
        # Parquet has no stamps in seconds: they come back in milliseconds.
        stamps, issued = (
            part[name].cast(_STAMP).cast(pa.int64()).to_numpy() for name in (TIMESTAMP_COLUMN, ISSUED_COLUMN)
        )
        values = np.empty((end - first, len(self.columns)))
        for i, name in enumerate(self.columns):
            values[:, i] = part[name].to_numpy()
        return SeriesVintages(self.columns, stamps, issued, values, shared=self._shared)
