"""Measure a table whose roles are known: its step, its series on their grid, and what its target is like."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from components.validation.grid import RowTable, StepReport, first_run, infer_step
from components.validation.reading import ParsedTable, SortingReport
from components.validation.series_measures import longest_run, missing_ratio
from components.validation.storing import StoreReport
from forecasting.config.table import DataConfig
from forecasting.errors import DataError
from forecasting.schema import Series, SeriesStore, SplitSpec
from pipelines.initial.lengths import LengthsGuess

_DAY_S, _QUARTER_S = 86_400, 900
_MIN_COARSE_STEPS = 1_000
_MAX_OFF_GRID_RATIO = 0.05
"""Share of rows off the grid that may be faults of single series; more say that there is no regular step."""
_MIN_STEP_RATIO = 0.9
"""Share of the distances of a series that are its step, where other distances are missing rows."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TableFacts:
    """What was measured.

    table, sorting, step, made: of the steps of validation. typical, longest: steps of a series. n_steps: of
    all. missing `[N]`: share of the steps of each series without a target. lowest: smallest target.
    level_ratio: 90th over 10th percentile of the mean size of series; 1 for one series. data: roles of the columns
    as they were measured, one row a series and time and all of them numbers. n_sparse: series with stretches in which
    only every second row is there, or every third, while they keep the step elsewhere; 0 where another series has a
    second step of another kind. gap_steps, gap_start: the longest run of steps without a target, and when it begins.
    """

    table: ParsedTable
    sorting: SortingReport
    step: StepReport
    made: StoreReport
    frequency_s: int
    typical: int
    longest: int
    n_steps: int
    missing: npt.NDArray[np.float64]
    lowest: float
    level_ratio: float
    data: DataConfig
    n_sparse: int = 0
    gap_steps: int = 0
    gap_start: int = 0

    @property
    def store(self) -> SeriesStore:
        """The series."""
        return self.made.store

    def with_split(self, split: SplitSpec) -> "TableFacts":
        """The same with other cuts."""
        store = replace(self.store, spec=replace(self.store.spec, split=split))
        return replace(self, made=replace(self.made, store=store))

    def targets(self) -> list[npt.NDArray[np.float64]]:
        """Target of each series up to the cutoff."""
        spec = self.store.spec
        return [series.values[: _n_steps(series, spec.split.cutoff, spec.step_s), 0] for series in self.store]

    def n_windows(self, lengths: LengthsGuess) -> int:
        """Training windows of all series."""
        spec = self.store.spec
        steps = (_n_steps(series, spec.split.train_end, spec.step_s) for series in self.store)
        return sum(max(0, n - lengths.history - lengths.horizon + 1) for n in steps)

    def n_tested(self) -> int:
        """Series that reach into the test period."""
        spec = self.store.spec
        return sum(series.start + series.n_steps * spec.step_s > spec.split.test_start for series in self.store)


def table_step(seconds: Times, series: Times, *, where: str) -> int:
    """Step of a table in seconds.

    Raises:
        DataError: There are not two times in any series, or rows are no whole number of steps apart.
    """
    order = np.lexsort((seconds, series))
    step = infer_step(RowTable(series[order], seconds[order], np.empty((len(order), 0)), order))
    if step is None:
        raise DataError(f"{where} must have a series with at least two different times, and it has none")
    distances = np.diff(seconds[order])[np.diff(series[order]) == 0]
    if np.count_nonzero((distances >= 28 * _DAY_S) & (distances <= 366 * _DAY_S)) > len(distances) / 2:
        raise DataError(
            f"{where} must have steps of one fixed length, up to weeks; its rows are {np.median(distances) / _DAY_S:.0f} days apart: "
            "months, quarters and years are not in this version"
        )
    if len(step.off_grid) > _MAX_OFF_GRID_RATIO * len(seconds):
        raise DataError(
            f"{where} must have rows a whole number of steps apart; the usual step is {step.step_s} s, and {len(step.off_grid):,} of "
            f"{len(seconds):,} rows do not keep it; bring the table to a regular step first"
        )
    return step.step_s


def model_step(step_s: int, span_s: int) -> int:
    """Step on which to model: quarters of an hour where a long table is finer, else its own."""
    is_fine = step_s < _QUARTER_S and _QUARTER_S % step_s == 0
    return _QUARTER_S if is_fine and span_s // _QUARTER_S >= _MIN_COARSE_STEPS else step_s


def measure(
    table: ParsedTable, sorting: SortingReport, *, step: StepReport, made: StoreReport, data: DataConfig
) -> TableFacts:
    """Measure what validation made of a table whose columns have the roles of `data`.

    Raises:
        DataError: The target is constant.
    """
    spec = made.store.spec
    lengths = np.array([_n_steps(series, spec.split.cutoff, spec.step_s) for series in made.store])
    target = table.numbers[spec.target]
    known = target[~np.isnan(target)]
    if known.min() == known.max():
        raise DataError(f"{table.source.name}: the target {spec.target!r} must vary, and it is {known[0]:g} in every row; name another by --target")  # fmt: skip
    pairs = zip(made.store, made.censored, strict=True)
    gap_steps, gap_start = _longest_gap(made)
    missing = [missing_ratio(series.values[: len(hidden), 0], hidden) for series, hidden in pairs]
    return TableFacts(
        table=table,
        sorting=sorting,
        step=step,
        made=made,
        frequency_s=spec.step_s,
        typical=int(np.median(lengths)),
        longest=int(lengths.max()),
        n_steps=int(lengths.sum()),
        missing=np.array(missing),
        lowest=float(known.min()),
        level_ratio=_level_ratio(made.store),
        data=data,
        n_sparse=_n_sparse(sorting.rows, step.step_s),
        gap_steps=gap_steps,
        gap_start=gap_start,
    )


def _longest_gap(made: StoreReport) -> tuple[int, int]:
    step_s, gaps = made.store.spec.step_s, []
    for series, hidden in zip(made.store, made.censored, strict=True):
        run = longest_run(np.isnan(series.values[: len(hidden), 0]) & ~hidden)
        gaps.append((run.length, series.start + run.start * step_s))
    return max(gaps, key=lambda gap: gap[0])


def _n_sparse(rows: RowTable, step_s: int) -> int:
    n_sparse = 0
    for first, end in pairwise(np.flatnonzero(np.diff(rows.series, prepend=-1, append=-1)).tolist()):
        distances = np.diff(rows.times[first:end])
        run = first_run(distances, usual=step_s)
        if run is None:
            continue
        if distances[run] % step_s or np.mean(distances == step_s) < _MIN_STEP_RATIO:
            return 0
        n_sparse += 1
    return n_sparse


def _n_steps(series: Series, end: int, step_s: int) -> int:
    return max(0, min((end - series.start) // step_s, series.n_steps))


def _level_ratio(store: SeriesStore) -> float:
    sizes = [float(np.nanmean(np.abs(series.values[:, 0]))) for series in store if not np.isnan(series.values[:, 0]).all()]  # fmt: skip
    low, high = np.quantile(sizes, (0.1, 0.9))
    return float(high / low) if low > 0 else (1.0 if high == low else float("inf"))
