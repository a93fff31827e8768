"""Bring the rows of a table onto one regular grid: find their step, resample, fill gaps with NaN.

A bucket is `frequency` long and named by its start. Buckets begin at whole multiples of
`frequency` since 1970-01-01 UTC; where rows are not resampled, at the rows' own phase.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_MIN_RUN = 10
"""Consecutive equal steps, other than the usual one, that make a second frequency of gaps."""
_MIN_FILLED_RATIO = 0.5
"""Share of the rows of a bucket that must have a value for mean, min, max or last."""
_EMPTY_STEPS, _EMPTY_STEPS_A_ROW = 5_000_000, 20
"""Steps without a row that a grid may have whatever its rows are, and those that it may have for each row."""


@dataclass(frozen=True)
class RowTable:
    """Rows sorted by series and time, one a time stamp.

    series `[R]` index of the series; times `[R]` UTC epoch seconds; values `[R, n columns]`;
    source_rows `[R]` where the row stands in the source.
    """

    series: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    source_rows: npt.NDArray[np.int64]

    @property
    def within(self) -> npt.NDArray[np.bool_]:
        """True where a row and the one before it are of one series `[R - 1]`."""
        return np.diff(self.series) == 0


@dataclass(frozen=True)
class StepReport:
    """Step of the source: its length and phase, and the rows that do not keep it (indices into a `RowTable`)."""

    step_s: int
    phase_s: int
    off_grid: npt.NDArray[np.int64]
    second_step_s: int | None
    second_step_row: int | None


@dataclass(frozen=True)
class GridSeries:
    """One series on the grid: first bucket in UTC epoch seconds and values `[T, n columns]`."""

    start: int
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class GridReport:
    """All series on the grid, and the partial buckets at their ends that were left out."""

    series: tuple[GridSeries, ...]
    n_partial_buckets: int


class StepCounts:
    """How often each distance of neighbouring rows is there, and each phase, over parts of a table."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._distances: Counter[int] = Counter()
        self._phases: Counter[int] = Counter()

    def add(self, rows: RowTable, step_s: int) -> None:
        """Count the distances of sorted rows, and their phases in steps of `step_s`."""
        distances = np.diff(rows.times)
        self._count(self._distances, distances[rows.within & (distances > 0)])
        self._count(self._phases, rows.times % step_s)

    @property
    def step_s(self) -> int | None:
        """The most frequent distance, the shortest of several; none where no series has two rows."""
        return self._most_frequent(self._distances) if self._distances else None

    @property
    def phase_s(self) -> int:
        """The most frequent phase in the steps that were counted by."""
        return self._most_frequent(self._phases)

    @staticmethod
    def _count(counts: "Counter[int]", numbers: npt.NDArray[np.int64]) -> None:
        found, times = np.unique(numbers, return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))

    @staticmethod
    def _most_frequent(counts: "Counter[int]") -> int:
        return min(counts, key=lambda number: (-counts[number], number))


def infer_step(rows: RowTable) -> StepReport | None:
    """Find the usual step of the rows; none where no series has two rows.

    The usual step is the most frequent distance of neighbouring rows. A row is off the grid when its
    distance from the others is no multiple of it. Ten equal distances in a row that are another multiple
    of it are a second frequency, not gaps.
    """
    distances = np.diff(rows.times)
    found = distances[rows.within & (distances > 0)]
    if not len(found):
        return None
    step_s = _most_frequent(found)
    return locate_step(rows, step_s, _most_frequent(rows.times % step_s))


def locate_step(rows: RowTable, step_s: int, phase_s: int) -> StepReport:
    """Where rows do not keep a step."""
    distances = np.diff(rows.times)
    within = rows.within & (distances > 0)
    off_grid = np.flatnonzero(rows.times % step_s != phase_s)
    run = first_run(np.where(within, distances, step_s), usual=step_s)
    second = None if run is None else int(distances[run])
    return StepReport(step_s, phase_s, off_grid, second, None if run is None else run + 1)


def row_far_away(rows: RowTable, frequency_s: int) -> int | None:
    """The row behind the longest gap, where the grid of some rows would be next to nothing but gaps; else none.

    One row with a time of another century would ask for more memory than all others together.
    """
    n_missing = np.where(rows.within, np.diff(rows.times) // frequency_s - 1, 0)
    if int(np.maximum(n_missing, 0).sum()) <= max(_EMPTY_STEPS, _EMPTY_STEPS_A_ROW * len(rows.times)):
        return None
    return int(np.argmax(n_missing)) + 1


def resample(
    rows: RowTable, n_series: int, *, frequency_s: int, source: StepReport, aggregations: tuple[str, ...]
) -> GridReport:
    """Aggregate rows into buckets and place these on a regular grid.

    Args:
        rows: Sorted rows.
        n_series: Number of series; each has rows.
        frequency_s: Length of a bucket, a multiple of the source's step.
        source: Step of the rows.
        aggregations: mean, sum, min, max or last, one a column.

    Returns:
        The series. A bucket without rows is NaN, and one in which a sum lacks a row or another aggregation
        lacks more than half of them. Partial buckets at both ends of a series are left out and counted.
    """
    per_bucket = frequency_s // source.step_s
    anchor = source.phase_s if per_bucket == 1 else 0
    buckets = (rows.times - anchor) // frequency_s
    starts = np.flatnonzero(np.r_[True, (np.diff(buckets) != 0) | (np.diff(rows.series) != 0)])
    n_rows = np.diff(np.r_[starts, len(buckets)])
    values = np.column_stack(
        [_aggregate(rows.values[:, i], starts, per_bucket, how) for i, how in enumerate(aggregations)]
    )
    owners, places = rows.series[starts], buckets[starts]
    kept = _without_partial_ends(owners, n_rows < per_bucket)
    series = _place(owners[kept], places[kept], values[kept], n_series)
    grid = tuple(GridSeries(int(first) * frequency_s + anchor, part) for first, part in series)
    return GridReport(grid, int(np.count_nonzero(~kept)))


def column_aggregations(columns: tuple[str, ...], named: Mapping[str, str]) -> tuple[str, ...]:
    """How each column is resampled: as named, else by its mean."""
    return tuple(named.get(column, "mean") for column in columns)


def _most_frequent(numbers: npt.NDArray[np.int64]) -> int:
    found, counts = np.unique(numbers, return_counts=True)
    return int(found[np.argmax(counts)])


def first_run(distances: npt.NDArray[np.int64], *, usual: int) -> int | None:
    """Index of the first of ten equal distances `[D]` in a row that are not the usual one; none where there are none."""
    if not len(distances):
        return None
    edges = np.flatnonzero(np.r_[True, np.diff(distances) != 0])
    lengths = np.diff(np.r_[edges, len(distances)])
    found = np.flatnonzero((lengths >= _MIN_RUN) & (distances[edges] != usual))
    return int(edges[found[0]]) if len(found) else None


def _aggregate(
    values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64], per_bucket: int, how: str
) -> npt.NDArray[np.float64]:
    filled = ~np.isnan(values)
    n_filled = np.add.reduceat(filled.astype(np.int64), starts)
    match how:
        case "mean":
            result = np.add.reduceat(np.where(filled, values, 0.0), starts) / np.maximum(n_filled, 1)
        case "sum":
            result = np.add.reduceat(np.where(filled, values, 0.0), starts)
        case "min":
            result = np.minimum.reduceat(np.where(filled, values, np.inf), starts)
        case "max":
            result = np.maximum.reduceat(np.where(filled, values, -np.inf), starts)
        case "last":
            last = np.maximum.reduceat(np.where(filled, np.arange(len(values)), -1), starts)
            result = values[np.maximum(last, 0)]
        case _:
            raise ValueError(f"no aggregation is called {how!r}")
    needed = per_bucket if how == "sum" else max(1.0, per_bucket * _MIN_FILLED_RATIO)
    return np.where(n_filled >= needed, result, np.nan)


def _without_partial_ends(owners: npt.NDArray[np.int64], partial: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """False for the first and last bucket of a series where it is partial."""
    changes = np.diff(owners) != 0
    is_end = np.r_[True, changes] | np.r_[changes, True]
    return ~(is_end & partial)


def _place(
    owners: npt.NDArray[np.int64], places: npt.NDArray[np.int64], values: npt.NDArray[np.float64], n_series: int
) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """First bucket and gap-free values of every series; a series without buckets has no rows."""
    bounds = np.searchsorted(owners, np.arange(n_series + 1))
    series = []
    for first, last in pairwise(bounds):
        if first == last:
            series.append((0, np.full((0, values.shape[1]), np.nan)))
            continue
        offsets = places[first:last] - places[first]
        part = np.full((int(offsets[-1]) + 1, values.shape[1]), np.nan)
        part[offsets] = values[first:last]
        series.append((int(places[first]), part))
    return series
