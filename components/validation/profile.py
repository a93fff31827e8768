"""The profile of a series store: what its columns and series look like, as plain numbers for a report."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.validation.report import iso_time
from forecasting.ranking import Values, histogram, quantiles
from forecasting.series_store import ROW_GROUP_ROWS, SeriesReader

_N_BINS = 20
_N_KEPT = 1 << 20
"""Rows of a column that stay in memory while it is described; more are read again and again."""
_LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class ColumnReport:
    """One column before the cutoff, in its own unit. Statistics are none where every value is missing."""

    n: int
    n_missing: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros_ratio: float | None
    quantiles: dict[str, float]
    histogram_edges: tuple[float, ...]
    histogram_counts: tuple[int, ...]


@dataclass(frozen=True)
class ProfileReport:
    """Contents of profile.json of validate_data; steps before the cutoff. n_steps are those of all series."""

    n_series: int
    n_steps: int
    shortest_series_steps: int
    longest_series_steps: int
    step_s: int
    first: str
    last: str
    target_zeros_ratio: float | None
    static: dict[str, dict[str, int]]
    columns: dict[str, ColumnReport]


def profile_store(directory: Path) -> ProfileReport:
    """Describe the series store of a folder; `first` is the first time stamp, `last` the last before the cutoff."""
    reader = SeriesReader(directory)
    spec, index = reader.spec, reader.index
    lengths = np.minimum((spec.split.cutoff - index.start) // spec.step_s, index.n_steps)
    columns = {name: describe(_StoredColumn(reader, name)) for name in spec.columns}
    counts = [
        np.bincount(index.static[:, i], minlength=len(spec.categories[name])) for i, name in enumerate(spec.static)
    ]
    return ProfileReport(
        n_series=len(index),
        n_steps=int(lengths.sum()),
        shortest_series_steps=int(lengths.min()),
        longest_series_steps=int(lengths.max()),
        step_s=spec.step_s,
        first=iso_time(int(index.start.min())),
        last=iso_time(int((index.start + (lengths - 1) * spec.step_s).max())),
        target_zeros_ratio=columns[spec.target].zeros_ratio,
        static={
            name: dict(zip(spec.categories[name], found.tolist(), strict=True))
            for name, found in zip(spec.static, counts, strict=True)
        },
        columns=columns,
    )


class CountedValues(Values, Protocol):
    """Values of which it is known how many more are missing."""

    @property
    def n_missing(self) -> int:
        """How many are missing."""


def describe(values: CountedValues) -> ColumnReport:
    """Describe a column; quantiles are keyed by their level, the histogram has 20 equal bins."""
    n_rows = values.n + values.n_missing
    if not values.n:
        return ColumnReport(n_rows, values.n_missing, None, None, None, None, None, {}, (), ())
    mean = sum(float(part.sum()) for part in values.chunks()) / values.n
    squares = sum(float(np.sum((part - mean) ** 2)) for part in values.chunks())
    n_zeros = sum(int(np.count_nonzero(part == 0)) for part in values.chunks())
    counts, edges = histogram(values, _N_BINS)
    return ColumnReport(
        n=n_rows,
        n_missing=values.n_missing,
        mean=mean,
        std=math.sqrt(squares / values.n),
        min=values.low,
        max=values.high,
        zeros_ratio=n_zeros / values.n,
        quantiles={f"{level:g}": value for level, value in zip(_LEVELS, quantiles(values, _LEVELS), strict=True)},
        histogram_edges=tuple(edges.tolist()),
        histogram_counts=tuple(counts.tolist()),
    )


class _StoredColumn:
    """A column of a store before the cutoff, read in parts whose size does not hang on the series; a short one is kept."""

    def __init__(self, reader: SeriesReader, name: str) -> None:
        self._reader, self._name = reader, name
        self._n_rows = int(reader.index.n_steps.sum())
        self._kept: list[npt.NDArray[np.float64]] | None = [] if self._n_rows <= _N_KEPT else None
        self.n = self.n_missing = 0
        self.low = self.high = float("nan")
        for part, n_missing in self._read():
            self.n_missing += n_missing
            if len(part):
                self.n += len(part)
                self.low, self.high = float(np.fmin(self.low, part.min())), float(np.fmax(self.high, part.max()))
                if self._kept is not None:
                    self._kept.append(part)

    def chunks(self) -> Iterator[npt.NDArray[np.float64]]:
        """Values that there are."""
        if self._kept is not None:
            yield from self._kept
            return
        for part, _ in self._read():
            if len(part):
                yield part

    def _read(self) -> Iterator[tuple[npt.NDArray[np.float64], int]]:
        """Values in groups of rows of the store, and how many lack in each."""
        spec, index = self._reader.spec, self._reader.index
        n_before = np.minimum((spec.split.cutoff - index.start) // spec.step_s, index.n_steps)
        for first in range(0, self._n_rows, ROW_GROUP_ROWS):
            end = min(first + ROW_GROUP_ROWS, self._n_rows)
            values = self._reader.column(self._name, first, end)
            series = np.arange(np.searchsorted(index.offset, first, "right") - 1, np.searchsorted(index.offset, end))
            starts, ends = index.offset[series], index.offset[series] + n_before[series]
            # +1 where steps before the cutoff begin, -1 where they end: the running sum says which rows are of them.
            edges = np.zeros(end - first + 1, dtype=np.int64)
            np.add.at(edges, np.clip(starts - first, 0, end - first), 1)
            np.add.at(edges, np.clip(ends - first, 0, end - first), -1)
            own = values[np.cumsum(edges[:-1]) > 0]
            found = own[~np.isnan(own)]
            yield found, len(own) - len(found)
