"""The exact profile of every series: what the rules judge, one row a series, from all of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from components.validation.grid import StepReport, first_run
from components.validation.reading import ParsedTable, SortingReport
from components.validation.report import iso_time
from components.validation.series_measures import (
    LevelShiftReport,
    is_constant,
    level_shift,
    longest_run,
    missing_ratio,
    unit_change,
)
from components.validation.storing import StoreReport
from forecasting.config.root import ValidateDataSettings
from forecasting.schema import Series, SeriesSpec

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowProfileReport:
    """What the rows of a series in the source are like.

    Rows named first_… are named as a reader finds them, with their time; empty where there are none. second_step_s:
    another distance that ten rows in a row keep, 0 where there is none. n_future_rows: targets stamped after the run
    was begun. is_naive: whether times carry no zone.
    """

    n_rows: int
    n_equal_duplicates: int
    n_differing_duplicates: int
    n_descents: int
    n_off_grid: int
    n_future_rows: int
    second_step_s: int
    first_differing_row: str
    first_descent_row: str
    first_off_grid_row: str
    first_second_step_row: str
    is_naive: bool


@dataclass(frozen=True)
class UnitsReport:
    """A column that changes its unit, and when (UTC epoch seconds)."""

    column: str
    change: str
    time: int


@dataclass(frozen=True)
class StepProfileReport:
    """What the steps of a series on the grid, before the cutoff, are like.

    gap_steps: steps without any value. longest_gap: of these, the longest run in steps, from gap_start on
    (UTC epoch seconds). age_s: from the end of the last target to the cutoff. shift_time: where the level
    jumps most. units: columns that change their unit. n_missing_ahead: known values that lack
    in the horizon.
    """

    n_steps: int
    n_targets: int
    missing_ratio: float
    n_gap_steps: int
    gap_ratio: float
    longest_gap: int
    gap_start: int
    age_s: int
    is_constant: bool
    level: LevelShiftReport
    shift_time: int
    units: tuple[UnitsReport, ...]
    n_missing_ahead: int


@dataclass(frozen=True)
class SeriesProfileReport:
    """Profile of one series."""

    series: str
    rows: RowProfileReport
    steps: StepProfileReport


def profile_series(
    table: ParsedTable, sorting: SortingReport, *, step: StepReport, made: StoreReport, settings: ValidateDataSettings,
    created: float | None,
) -> tuple[SeriesProfileReport, ...]:  # fmt: skip
    """Profile every series of the store.

    Args:
        table: Parsed source.
        sorting: What sorting it found.
        step: Step of the source.
        made: The store.
        settings: Seasons, horizon and columns of temperatures.
        created: When the run was begun, epoch seconds; none: no row is judged to be of the future.
    """
    numbers = {name: i for i, name in enumerate(table.ids.names)}
    rows = profile_rows(table, sorting, step, created)
    steps = [
        profile_steps(one, hidden, made.store.spec, settings=settings)
        for one, hidden in zip(made.store, made.hidden, strict=True)
    ]
    series = zip(made.store, with_any_ahead(steps, made.store.spec, settings), strict=True)
    return tuple(SeriesProfileReport(one.id, rows[numbers[one.id]], found) for one, found in series)


def with_any_ahead(
    steps: Sequence[StepProfileReport], spec: SeriesSpec, settings: ValidateDataSettings
) -> list[StepProfileReport]:
    """No known value lacks in the horizon where no series has any: a table without rows after the cutoff brings no plan to complete."""
    complete = settings.forecast.horizon * len(spec.known)
    if any(found.n_missing_ahead != complete for found in steps):
        return list(steps)
    return [replace(found, n_missing_ahead=0) for found in steps]


def profile_steps(
    one: Series, hidden: npt.NDArray[np.bool_], spec: SeriesSpec, *, settings: ValidateDataSettings
) -> StepProfileReport:
    """Profile the steps of a series.

    Args:
        one: The series.
        hidden: `[T before the cutoff]`, True where the target was hidden.
        spec: Of the store.
        settings: Seasons, horizon and columns of temperatures.
    """
    n_before = min((spec.split.cutoff - one.start) // spec.step_s, one.n_steps)
    values, season = one.values[:n_before], max(settings.forecast.seasons)
    target = values[:, 0]
    targets = np.flatnonzero(~np.isnan(target))
    empty = np.all(np.isnan(values), axis=1)
    gap, level = longest_run(empty), level_shift(target, season)
    end = one.start + (int(targets[-1]) + 1) * spec.step_s if len(targets) else one.start
    missing_ahead = settings.forecast.horizon * len(spec.known) - _n_ahead(one, spec)
    return StepProfileReport(
        n_steps=n_before,
        n_targets=len(targets),
        missing_ratio=missing_ratio(target, hidden[:n_before]),
        n_gap_steps=int(empty.sum()),
        gap_ratio=float(empty.mean()),
        longest_gap=gap.length,
        gap_start=one.start + gap.start * spec.step_s,
        age_s=spec.split.cutoff - end,
        is_constant=is_constant(target, 2 * season),
        level=level,
        shift_time=one.start + level.index * spec.step_s,
        units=_unit_changes(one, values, spec, season=season, temperatures=settings.validation.temperatures),
        n_missing_ahead=missing_ahead,
    )


def _unit_changes(
    one: Series, values: npt.NDArray[np.float64], spec: SeriesSpec, *, season: int, temperatures: Sequence[str]
) -> tuple[UnitsReport, ...]:
    found = []
    for i, name in enumerate(spec.columns):
        change = unit_change(values[:, i], season, is_temperature=name in temperatures)
        if change is not None:
            found.append(UnitsReport(name, change.change, one.start + change.index * spec.step_s))
    return tuple(found)


def _n_ahead(one: Series, spec: SeriesSpec) -> int:
    """Known values from the cutoff on."""
    n_before = (spec.split.cutoff - one.start) // spec.step_s
    return int(np.isfinite(one.values[n_before:, len(spec.columns) - len(spec.known) :]).sum())


def profile_rows(
    table: ParsedTable, sorting: SortingReport, step: StepReport, created: float | None
) -> list[RowProfileReport]:
    """Profile the rows of every series, in their order; the arguments are as of `profile_series`."""
    codes, n_series, rows = table.ids.codes, len(table.ids.names), sorting.rows
    off_grid = rows.source_rows[step.off_grid]
    future = np.zeros(0, dtype=np.int64)
    if created is not None:
        target = next(iter(table.numbers.values()))
        future = np.flatnonzero((table.times.seconds > created) & ~np.isnan(target))
    n_rows = np.bincount(codes, minlength=n_series)
    kinds = [np.sort(found) for found in (sorting.equal, sorting.differing, sorting.descents, off_grid, future)]
    equal, differing, descents, off, ahead = (np.bincount(codes[found], minlength=n_series) for found in kinds)
    firsts = [_first_rows(codes, found, n_series) for found in kinds[1:4]]
    second = _second_steps(sorting, step, n_series)

    def place(row: int) -> str:
        return "" if row < 0 else f"{table.source.row_name(row)} at {iso_time(int(table.times.seconds[row]))}"

    return [
        RowProfileReport(
            n_rows=int(n_rows[i]),
            n_equal_duplicates=int(equal[i]),
            n_differing_duplicates=int(differing[i]),
            n_descents=int(descents[i]),
            n_off_grid=int(off[i]),
            n_future_rows=int(ahead[i]),
            second_step_s=second[i][0],
            first_differing_row=place(int(firsts[0][i])),
            first_descent_row=place(int(firsts[1][i])),
            first_off_grid_row=place(int(firsts[2][i])),
            first_second_step_row=place(second[i][1]),
            is_naive=table.times.n_naive > 0,
        )
        for i in range(n_series)
    ]


def _first_rows(codes: Ints, found: Ints, n_series: int) -> Ints:
    """First of some ascending rows in every series, -1 where there is none."""
    first = np.full(n_series, -1, dtype=np.int64)
    first[codes[found[::-1]]] = found[::-1]
    return first


def _second_steps(sorting: SortingReport, step: StepReport, n_series: int) -> list[tuple[int, int]]:
    """Second frequency of every series and the row of the source where it begins."""
    bounds = np.searchsorted(sorting.rows.series, np.arange(n_series + 1))
    found = []
    for first, end in pairwise(bounds.tolist()):
        distances = np.diff(sorting.rows.times[first:end])
        run = first_run(distances, usual=step.step_s) if len(distances) else None
        found.append((0, -1) if run is None else (int(distances[run]), int(sorting.rows.source_rows[first + run + 1])))
    return found
