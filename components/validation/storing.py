"""From sorted rows to a series store: resample, cut, split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.exclusions import ExclusionRecord, excluded_steps
from components.validation.grid import (
    GridReport,
    GridSeries,
    RowTable,
    StepReport,
    column_aggregations,
    resample,
    row_far_away,
)
from components.validation.reading import ParsedTable, SortingReport
from components.validation.report import iso_time
from forecasting.config.root import ValidateDataSettings
from forecasting.config.table import DataConfig
from forecasting.durations import duration_s
from forecasting.errors import DataError
from forecasting.schema import Series, SeriesSpec, SeriesStore
from forecasting.splits import split_spec


@dataclass(frozen=True)
class StoreReport:
    """A series store and what making it found.

    hidden: steps a series whose target was hidden, because it is not the true demand (censored) or
    because the configuration excludes them. left_out: ids of
    series without a step before the cutoff. n_partial_buckets: at the ends of series, left out.
    """

    store: SeriesStore
    hidden: tuple[npt.NDArray[np.bool_], ...]
    censored: tuple[npt.NDArray[np.bool_], ...]
    left_out: tuple[str, ...]
    n_partial_buckets: int


@dataclass(frozen=True)
class GriddedTable:
    """Some series on the grid, as long as they are in the table.

    names: of the series. columns: numbers. static: for each static column one category a series.
    ahead: rows with the known covariates from about the cutoff on, sorted.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    static: dict[str, tuple[str, ...]]
    grid: GridReport
    ahead: RowTable

    def spans(self, frequency_s: int) -> "SpansReport":
        """Where the series lie in time."""
        series = self.grid.series
        return SpansReport(
            np.asarray([one.start for one in series], dtype=np.int64),
            np.asarray([len(one.values) for one in series], dtype=np.int64),
            np.asarray([_end_of_target(one, frequency_s) for one in series], dtype=np.int64),
        )


@dataclass(frozen=True)
class SpansReport:
    """For each series its first time stamp, its steps, and the end of its last step with a target `[N]`."""

    starts: npt.NDArray[np.int64]
    n_steps: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def are_kept(self, cutoff: int, frequency_s: int) -> npt.NDArray[np.bool_]:
        """Which series have a whole step before the cutoff `[N]`."""
        return ((cutoff - self.starts) // frequency_s > 0) & (self.n_steps > 0)


def make_store(
    table: ParsedTable, sorting: SortingReport, *, step: StepReport, settings: ValidateDataSettings, cutoff: int | None,
    exclusions: tuple[ExclusionRecord, ...] = (),
) -> StoreReport:  # fmt: skip
    """Resample a whole table to `data.frequency`, hide targets that do not count, remove what is not known at the cutoff.

    Raises:
        ConfigError: The splits are no whole number of steps.
        DataError: The table is coarser than `data.frequency`, or has nothing before the cutoff.
    """
    frequency_s = source_frequency(step, settings.data, table.source.name)
    gridded = lay_on_grid(table, sorting.rows, step=step, data=settings.data, cutoff=cutoff)
    spec = store_spec(
        gridded.spans(frequency_s),
        {name: tuple(sorted(set(values))) for name, values in table.static.items()},
        step=step,
        settings=settings,
        cutoff=cutoff,
        source=table.source.name,
        first_time=int(sorting.rows.times.min()),
    )
    return cut(gridded, spec, step=step, settings=settings, exclusions=exclusions)


def lay_on_grid(
    table: ParsedTable, rows: RowTable, *, step: StepReport, data: DataConfig, cutoff: int | None
) -> GriddedTable:
    """Resample sorted rows to `data.frequency`.

    Raises:
        DataError: The rows lie so far apart that the grid would be next to nothing but gaps.
    """
    frequency_s, names = duration_s(data.frequency), tuple(table.numbers)
    if (row := row_far_away(rows, frequency_s)) is not None:
        raise _far_away(table, rows, row, data)
    aggregations = column_aggregations(
        names, {**data.aggregation, **({data.censored_by: "max"} if data.censored_by else {})}
    )
    grid = resample(rows, len(table.ids.names), frequency_s=frequency_s, source=step, aggregations=aggregations)
    # The cutoff of the whole table is not known yet, and not before the last target here or the one asked for.
    last = max((_end_of_target(one, frequency_s) for one in grid.series), default=0)
    first = last if cutoff is None else min(last, aligned(cutoff, step, frequency_s))
    return GriddedTable(table.ids.names, names, table.static, grid, _rows_ahead(table, rows, names, data, first))


def _far_away(table: ParsedTable, rows: RowTable, row: int, data: DataConfig) -> DataError:
    """The error that a row and the one before it are too far apart to fill what lies between them."""
    before, after = (
        f"{table.source.row_name(int(rows.source_rows[i]))} at {iso_time(int(rows.times[i]))}" for i in (row - 1, row)
    )
    return DataError(
        f"{table.source.name}: the times of a series must lie close enough to fill the steps between them; series "
        f"{table.ids.names[int(rows.series[row])]!r} has {before} and next {after}, with {data.frequency} for data.frequency; "
        "remove or correct the row whose time is wrong"
    )


def aligned(cutoff: int, step: StepReport, frequency_s: int) -> int:
    """The last begin of a step at or before a time."""
    phase_s = step.phase_s if frequency_s == step.step_s else 0
    return (cutoff - phase_s) // frequency_s * frequency_s + phase_s


def store_spec(
    spans: SpansReport, categories: Mapping[str, tuple[str, ...]], *, step: StepReport, settings: ValidateDataSettings,
    cutoff: int | None, source: str, first_time: int,
) -> SeriesSpec:  # fmt: skip
    """Schema of a store, with its cutoff and splits.

    Args:
        spans: Of all series.
        categories: Of each static column, in order.
        step: Of the source.
        settings: Roles, frequency and split.
        cutoff: That was asked for; none: the end of the last target.
        source: Name of the table.
        first_time: Of its rows.

    Raises:
        ConfigError: The splits are no whole number of steps.
        DataError: There is nothing before the cutoff.
    """
    data, frequency_s = settings.data, duration_s(settings.data.frequency)
    last = int(spans.ends.max())
    effective = min(aligned(last if cutoff is None else cutoff, step, frequency_s), last)
    kept = spans.are_kept(effective, frequency_s)
    if not kept.any():
        raise DataError(
            f"{source} must have rows before the cutoff {iso_time(effective)}; its first time stamp is {iso_time(first_time)}"
        )
    first = int(spans.starts[kept].min())
    return SeriesSpec(
        target=data.target,
        observed=data.observed,
        known=data.known,
        static=data.static,
        categories=dict(categories),
        step_s=frequency_s,
        split=split_spec(settings.split, settings.forecast, first=first, cutoff=effective, step_s=frequency_s),
    )


def cut(
    gridded: GriddedTable, spec: SeriesSpec, *, step: StepReport, settings: ValidateDataSettings,
    exclusions: tuple[ExclusionRecord, ...] = (),
) -> StoreReport:  # fmt: skip
    """Hide targets that do not count and remove what is not known at the cutoff; a part of the series gives a part of the store."""
    data, frequency_s, cutoff = settings.data, spec.step_s, spec.split.cutoff
    ahead = _known_ahead(gridded, step=step, data=data, cutoff=cutoff)
    kept = np.flatnonzero(gridded.spans(frequency_s).are_kept(cutoff, frequency_s)).tolist()
    codes = {name: {value: code for code, value in enumerate(values)} for name, values in spec.categories.items()}
    series, hidden, censored = [], [], []
    for i in kept:
        one, name = gridded.grid.series[i], gridded.names[i]
        n_before = (cutoff - one.start) // frequency_s
        # Steps without a row at the end of a series belong to it where known covariates follow after the cutoff.
        n_steps = max(n_before, len(one.values))
        is_censored = np.zeros(n_steps, dtype=np.bool_)
        is_censored[: len(one.values)] = _censored(one, gridded.columns, data)
        is_hidden = is_censored | excluded_steps(exclusions, name, start=one.start, n_steps=n_steps, step_s=frequency_s)
        static = tuple(codes[column][gridded.static[column][i]] for column in data.static)
        series.append(Series(name, one.start, _cut_values(one, is_hidden, ahead[i], spec, settings=settings), static))
        n_own = min(n_before, series[-1].n_steps)
        hidden.append(is_hidden[:n_own])
        censored.append(is_censored[:n_own])
    left_out = sorted(set(gridded.names) - {gridded.names[i] for i in kept})
    return StoreReport(
        SeriesStore(spec, tuple(series)),
        tuple(hidden),
        tuple(censored),
        tuple(left_out),
        gridded.grid.n_partial_buckets,
    )


def source_frequency(step: StepReport, data: DataConfig, source: str) -> int:
    """`data.frequency` in seconds.

    Raises:
        DataError: It is no multiple of the step of the source.
    """
    frequency_s = duration_s(data.frequency)
    if frequency_s % step.step_s:
        raise DataError(
            f"{source}: data.frequency ({data.frequency}) must be a multiple of the table's own step, which is "
            f"{step.step_s} s; set data.frequency to {step.step_s}s or a multiple of it"
        )
    return frequency_s


def _censored(series: GridSeries, names: tuple[str, ...], data: DataConfig) -> npt.NDArray[np.bool_]:
    if data.censored_by is None:
        return np.zeros(len(series.values), dtype=np.bool_)
    return np.nan_to_num(series.values[:, names.index(data.censored_by)]) != 0


def _end_of_target(series: GridSeries, frequency_s: int) -> int:
    """End of the last step that has a target (column 0)."""
    found = np.flatnonzero(~np.isnan(series.values[:, 0]))
    return series.start + (int(found[-1]) + 1) * frequency_s if len(found) else series.start


def _rows_ahead(table: ParsedTable, rows: RowTable, names: tuple[str, ...], data: DataConfig, first: int) -> RowTable:
    """Rows with known covariates from a time on, sorted."""
    after, columns = rows.times >= first, [names.index(name) for name in data.known]
    series = np.r_[rows.series[after], table.later.series]
    times = np.r_[rows.times[after], table.later.times]
    if not columns:
        return RowTable(series[:0], times[:0], np.empty((0, 0)), series[:0])
    values = np.concatenate([rows.values[after][:, columns], table.later.values])
    order = np.lexsort((times, series))
    return RowTable(series[order], times[order], values[order], order)


def _known_ahead(gridded: GriddedTable, *, step: StepReport, data: DataConfig, cutoff: int) -> tuple[GridSeries, ...]:
    """Known covariates of every series from the cutoff on."""
    rows = gridded.ahead
    after = rows.times >= cutoff
    if not after.any():
        return tuple(GridSeries(cutoff, np.empty((0, len(data.known)))) for _ in gridded.names)
    return resample(
        RowTable(rows.series[after], rows.times[after], rows.values[after], rows.source_rows[after]), len(gridded.names),
        frequency_s=duration_s(data.frequency), source=step,
        aggregations=column_aggregations(data.known, data.aggregation),
    ).series  # fmt: skip


def _cut_values(
    one: GridSeries,
    hidden: npt.NDArray[np.bool_],
    ahead: GridSeries,
    spec: SeriesSpec,
    *,
    settings: ValidateDataSettings,
) -> npt.NDArray[np.float64]:
    """Values of a series as they are known at the cutoff `[T, n columns]`."""
    n_before = (spec.split.cutoff - one.start) // spec.step_s
    values = one.values[:n_before, : len(spec.columns)].copy()
    values[hidden[: len(values)], 0] = np.nan
    _publish_later(values, settings.data, spec.step_s)
    first = (ahead.start - one.start) // spec.step_s
    known = ahead.values[: max(0, n_before + settings.forecast.horizon - first)]
    return _with_known(values, known, first)


def _publish_later(values: npt.NDArray[np.float64], data: DataConfig, step_s: int) -> None:
    """Move observed columns `[T, n columns]` to the steps at which they are published."""
    for name, lag in data.availability_lag.items():
        n_steps = -(-duration_s(lag) // step_s)
        column = 1 + data.observed.index(name)
        values[n_steps:, column] = values[: max(0, len(values) - n_steps), column].copy()
        values[:n_steps, column] = np.nan


def _with_known(values: npt.NDArray[np.float64], known: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.float64]:
    """Values before the cutoff, and from step `first` on those known covariates that there are."""
    filled = np.flatnonzero(~np.isnan(known).all(axis=1))
    if not len(filled):
        return values
    n_known = int(filled[-1]) + 1
    longer = np.full((first + n_known, values.shape[1]), np.nan)
    longer[: len(values)] = values
    longer[first:, values.shape[1] - known.shape[1] :] = known[:n_known]
    return longer
