"""From sorted rows to a series store: resample, cut, split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.exclusions import ExclusionRecord, excluded_steps
from components.validation.grid import GridReport, GridSeries, RowTable, StepReport, column_aggregations, resample
from components.validation.reading import ParsedTable, SortingReport
from components.validation.report import iso_time
from forecasting.config.root import ValidateDataSettings
from forecasting.config.sections import DataConfig
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


def make_store(
    table: ParsedTable, sorting: SortingReport, *, step: StepReport, settings: ValidateDataSettings, cutoff: int | None,
    exclusions: tuple[ExclusionRecord, ...] = (),
) -> StoreReport:  # fmt: skip
    """Resample to `data.frequency`, hide targets that do not count, remove what is not known at the cutoff.

    Raises:
        ConfigError: The splits are no whole number of steps.
        DataError: The table is coarser than `data.frequency`, or has nothing before the cutoff.
    """
    data = settings.data
    frequency_s = _frequency(step, data, table)
    names = tuple(table.numbers)
    aggregations = column_aggregations(
        names, {**data.aggregation, **({data.censored_by: "max"} if data.censored_by else {})}
    )
    grid = resample(sorting.rows, len(table.ids.names), frequency_s=frequency_s, source=step, aggregations=aggregations)
    censored = [_censored(series, names, data) for series in grid.series]
    hidden = [
        one | excluded_steps(exclusions, name, start=series.start, n_steps=len(series.values), step_s=frequency_s)
        for one, name, series in zip(censored, table.ids.names, grid.series, strict=True)
    ]
    ends = [_end_of_target(series, frequency_s) for series in grid.series]
    phase_s = step.phase_s if frequency_s == step.step_s else 0
    requested = max(ends) if cutoff is None else cutoff
    effective = min((requested - phase_s) // frequency_s * frequency_s + phase_s, max(ends))
    ahead = _known_ahead(table, sorting.rows, step=step, data=data, cutoff=effective)
    series, kept = _cut_all(table, grid, ahead, hidden=hidden, settings=settings, cutoff=effective)
    if not series:
        raise DataError(
            f"{table.source.name} must have rows before the cutoff {iso_time(effective)}; its first time stamp is "
            f"{iso_time(int(sorting.rows.times.min()))}"
        )
    spec = SeriesSpec(
        target=data.target,
        observed=data.observed,
        known=data.known,
        static=data.static,
        categories={name: tuple(sorted(set(values))) for name, values in table.static.items()},
        step_s=frequency_s,
        split=split_spec(
            settings.split,
            settings.forecast,
            first=min(one.start for one in series),
            cutoff=effective,
            step_s=frequency_s,
        ),
    )
    n_steps = [(effective - one.start) // frequency_s for one in series]
    return StoreReport(
        store=SeriesStore(spec, series),
        hidden=tuple(hidden[i][:n] for i, n in zip(kept, n_steps, strict=True)),
        censored=tuple(censored[i][:n] for i, n in zip(kept, n_steps, strict=True)),
        left_out=tuple(name for i, name in enumerate(table.ids.names) if i not in set(kept)),
        n_partial_buckets=grid.n_partial_buckets,
    )


def _frequency(step: StepReport, data: DataConfig, table: ParsedTable) -> int:
    frequency_s = duration_s(data.frequency)
    if frequency_s % step.step_s:
        raise DataError(
            f"{table.source.name}: data.frequency ({data.frequency}) must be a multiple of the table's own step, which is "
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


def _known_ahead(
    table: ParsedTable, rows: RowTable, *, step: StepReport, data: DataConfig, cutoff: int
) -> tuple[GridSeries, ...]:
    """Known covariates of every series from the cutoff on."""
    names, after = tuple(table.numbers), rows.times >= cutoff
    columns = [names.index(name) for name in data.known]
    series = np.r_[rows.series[after], table.later.series]
    times = np.r_[rows.times[after], table.later.times]
    if not columns or not len(series):
        return tuple(GridSeries(cutoff, np.empty((0, len(columns)))) for _ in table.ids.names)
    values = np.concatenate([rows.values[after][:, columns], table.later.values])
    order = np.lexsort((times, series))
    return resample(
        RowTable(series[order], times[order], values[order], order), len(table.ids.names),
        frequency_s=duration_s(data.frequency), source=step,
        aggregations=column_aggregations(data.known, data.aggregation),
    ).series  # fmt: skip


def _cut_all(
    table: ParsedTable, grid: GridReport, ahead: tuple[GridSeries, ...], *, hidden: list[npt.NDArray[np.bool_]],
    settings: ValidateDataSettings, cutoff: int,
) -> tuple[tuple[Series, ...], tuple[int, ...]]:  # fmt: skip
    """Series with steps before the cutoff, and their indices."""
    data, frequency_s = settings.data, duration_s(settings.data.frequency)
    categories = {
        name: {value: i for i, value in enumerate(sorted(set(values)))} for name, values in table.static.items()
    }
    n_values = 1 + len(data.observed) + len(data.known)
    series, kept = [], []
    for i, (name, one) in enumerate(zip(table.ids.names, grid.series, strict=True)):
        n_before = (cutoff - one.start) // frequency_s
        if n_before <= 0 or not len(one.values):
            continue
        values = one.values[:n_before, :n_values].copy()
        values[hidden[i][:n_before], 0] = np.nan
        _publish_later(values, data, frequency_s)
        first = (ahead[i].start - one.start) // frequency_s
        known = ahead[i].values[: max(0, n_before + settings.forecast.horizon - first)]
        static = tuple(categories[column][table.static[column][i]] for column in data.static)
        series.append(Series(name, one.start, _with_known(values, known, first), static))
        kept.append(i)
    return tuple(series), tuple(kept)


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
