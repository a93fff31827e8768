"""Covariates by vintage: read what was issued by the cutoff, bring it onto the grid, give each series its part.

A row is a value, the time it speaks of and the time from which it could be used. What was issued after the
cutoff does not exist for a run, and what was issued after its own time is used by nobody: by then the time
has come, and what was measured is another column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.duplicates import merge_duplicates
from components.validation.grid import RowTable, StepReport, column_aggregations, infer_step, resample
from components.validation.parsing import parse_ids, parse_numbers
from components.validation.report import iso_time
from components.validation.sources import SourceTable, check_columns, find_source
from components.validation.sources.table import collect
from components.validation.times import parse_times
from forecasting.config.root import ValidateDataSettings
from forecasting.config.source import VintagesConfig
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import DataError
from forecasting.schema import Series, SeriesSpec
from forecasting.vintages import SeriesVintages, no_vintages

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GridSpec:
    """Where the steps of a store lie: at `phase_s` and every `step_s`; its cutoff and horizon H."""

    step_s: int
    phase_s: int
    cutoff: int
    horizon: int


@dataclass(frozen=True)
class VintageTable:
    """All vintages that a run may use.

    series: by id; one entry under the empty id where they are shared. n_rows: read, issued by the cutoff.
    n_issues: different times of issue. n_restated: steps that were issued again after their time.
    """

    name: str
    columns: tuple[str, ...]
    series: Mapping[str, SeriesVintages]
    is_shared: bool
    n_rows: int
    n_issues: int
    n_restated: int

    def of(self, series_id: str) -> SeriesVintages:
        """Vintages of a series; without rows where there are none."""
        return self.series.get("" if self.is_shared else series_id, no_vintages(self.columns))


def without_vintages(settings: ValidateDataSettings) -> ValidateDataSettings:
    """The settings of the main table: columns that have vintages are not read from it."""
    if settings.data.vintages is None:
        return settings
    names = set(settings.data.vintages.columns)
    data = settings.data.model_copy(
        update={
            "known": tuple(name for name in settings.data.known if name not in names),
            "aggregation": {name: how for name, how in settings.data.aggregation.items() if name not in names},
        }
    )
    ranges = {name: bounds for name, bounds in settings.validation.ranges.items() if name not in names}
    validation = settings.validation.model_copy(update={"ranges": ranges})
    return settings.model_copy(update={"data": data, "validation": validation})


def spec_with_vintages(spec: SeriesSpec, columns: tuple[str, ...]) -> SeriesSpec:
    """The spec of a store whose series get vintages: their columns are the last of the known ones."""
    return replace(spec, known=(*spec.known, *columns), vintages=columns)


def spec_without_vintages(spec: SeriesSpec) -> SeriesSpec:
    """The spec of a store before its series get vintages."""
    return replace(spec, known=tuple(name for name in spec.known if name not in spec.vintages), vintages=())


def with_vintages(one: Series, found: SeriesVintages, spec: SeriesSpec, horizon: int) -> Series:
    """A series with its vintages, and columns of what stood at each step and of what is known at the cutoff.

    Args:
        one: The series without these columns.
        found: Its vintages.
        spec: Spec of the store without these columns.
        horizon: H.
    """
    n_before = min((spec.split.cutoff - one.start) // spec.step_s, one.n_steps)
    ahead = found.known_at(np.asarray([spec.split.cutoff]), horizon, spec.step_s)[0]
    filled = np.flatnonzero(~np.isnan(ahead).all(axis=1))
    first = (spec.split.cutoff - one.start) // spec.step_s
    n_steps = max(one.n_steps, first + int(filled[-1]) + 1 if len(filled) else 0)
    n_main = one.values.shape[1]
    values = np.full((n_steps, n_main + len(found.columns)), np.nan)
    values[: one.n_steps, :n_main] = one.values
    values[:n_before, n_main:] = found.standing(one.timestamps(spec.step_s)[:n_before])
    values[first:, n_main:] = ahead[: n_steps - first]
    return replace(one, values=values, vintages=found)


def read_vintages(settings: ValidateDataSettings, home: HomeLayout, grid: GridSpec) -> VintageTable:
    """Read the table of `data.vintages` as far as it was issued by the cutoff.

    Args:
        settings: As configured.
        home: Where examples are.
        grid: Steps of the store.

    Raises:
        ConfigError: The address is of no known kind.
        DataError: The table cannot be read, has two values of one series, time and issue, or is coarser than
            `data.frequency`.
    """
    data, vintages = settings.data, settings.data.vintages
    if vintages is None:
        raise ValueError("there must be a section data.vintages")
    own = _own_section(data, vintages)
    source = find_source(own, home)
    wanted = (*own.id_columns, own.time_column, vintages.issued_column, *vintages.columns)
    check_columns(source, wanted)
    table = collect(source, tuple(dict.fromkeys(wanted)))
    issued = _issue_times(table, own, vintages.issued_column)
    is_known = issued <= grid.cutoff
    table, issued = table.where(is_known), issued[is_known]
    ids = parse_ids(table, own.id_columns, single="" if vintages.shared else settings.name)
    # Each issue is on a clock of its own: the same hour in two of them is no repeated hour.
    groups = _numbered(ids.codes, issued)
    times = parse_times(table, own, groups).seconds
    values = np.column_stack([parse_numbers(table, name) for name in vintages.columns])
    kept = (times < grid.cutoff + grid.horizon * grid.step_s) & ~np.isnan(values).all(axis=1)
    rows = np.flatnonzero(kept)
    order = rows[np.lexsort((times[rows], groups[rows]))]
    part = _unique(RowTable(groups[order], times[order], values[order], order), table, issued)
    on_grid = _on_grid(part, table, ids.codes, grid, column_aggregations(vintages.columns, data.aggregation))
    place = np.zeros(groups.max(initial=-1) + 1, dtype=np.int64)
    place[groups] = np.arange(len(groups))
    owners, stamps = ids.codes[place[on_grid.series]], issued[place[on_grid.series]]
    found = _by_series(owners, on_grid, stamps, ids.names, vintages)
    return VintageTable(
        name=table.name,
        columns=vintages.columns,
        series=found,
        is_shared=vintages.shared,
        n_rows=table.table.num_rows,
        n_issues=len(np.unique(issued)),
        n_restated=int(np.count_nonzero(stamps > on_grid.times)),
    )


def _own_section(data: DataConfig, vintages: VintagesConfig) -> DataConfig:
    return data.model_copy(
        update={
            "uri": vintages.uri,
            "query": vintages.query,
            "table": vintages.table,
            "time_column": vintages.time_column or data.time_column,
            "id_columns": () if vintages.shared else data.id_columns,
            "static": (),
            "time_format": None,
            "time_parts": None,
        }
    )


def _issue_times(table: SourceTable, own: DataConfig, column: str) -> Ints:
    """Times of issue; of two that a clock without a zone may mean the later, so that nothing is used early."""
    section = own.model_copy(update={"time_column": column})
    n_rows = table.table.num_rows
    found = parse_times(table, section, np.arange(n_rows))
    if not found.n_naive:
        return found.seconds
    twice = replace(table, table=pa.concat_tables([table.table, table.table]))
    return parse_times(twice, section, np.tile(np.arange(n_rows), 2)).seconds[n_rows:]


def _numbered(first: Ints, second: Ints) -> Ints:
    """A number for each different pair, ascending with the pair."""
    if not len(first):
        return np.zeros(0, dtype=np.int64)
    ranks = np.unique(second, return_inverse=True)[1]
    pairs = first * (int(ranks.max()) + 1) + ranks
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _unique(rows: RowTable, table: SourceTable, issued: Ints) -> RowTable:
    """One row a series, issue and time; equal ones are dropped.

    Raises:
        DataError: Two of them differ.
    """
    repeats = np.r_[False, rows.within & (np.diff(rows.times) == 0)] if len(rows.times) else np.zeros(0, np.bool_)
    merged = merge_duplicates(rows.values, repeats, "first")
    bad = np.flatnonzero(merged.differs & repeats)
    if len(bad):
        row = int(rows.source_rows[bad[0]])
        raise DataError(
            f"{table.name} must have one row a series, time and issue; {table.row_name(row)} repeats the time "
            f"{iso_time(int(rows.times[bad[0]]))} of the issue {iso_time(int(issued[row]))} with another value; remove one"
        )
    return RowTable(rows.series[~repeats], rows.times[~repeats], merged.values, rows.source_rows[~repeats])


def _on_grid(
    rows: RowTable, table: SourceTable, owners: Ints, grid: GridSpec, aggregations: tuple[str, ...]
) -> RowTable:
    """Rows on the steps of the store, each issue by itself aggregated where it is finer.

    Raises:
        DataError: Issues are coarser than the steps, or do not fall on them.
    """
    off = np.flatnonzero((rows.times - grid.phase_s) % grid.step_s)
    distances = _distances(rows, owners)
    if len(distances) and distances.min() > grid.step_s:
        raise DataError(
            f"{table.name} must have a value for each step of data.frequency, {grid.step_s} s; within an issue its times are "
            f"{distances.min()} s apart: bring it to steps of {grid.step_s} s, or raise data.frequency"
        )
    if not len(off):
        return rows
    step = infer_step(rows)
    step_s = grid.step_s if step is None else step.step_s
    stray = np.flatnonzero((rows.times - grid.phase_s) % step_s) if grid.step_s % step_s == 0 else off
    if step_s == grid.step_s or len(stray):
        first = int(stray[0]) if len(stray) else int(off[0])
        raise DataError(
            f"{table.name} must have times on the steps of the series, every {grid.step_s} s, or on equal parts of them; "
            f"{table.row_name(int(rows.source_rows[first]))} has {iso_time(int(rows.times[first]))}"
        )
    shifted = replace(rows, times=rows.times - grid.phase_s)
    found = resample(
        shifted, int(rows.series.max()) + 1, frequency_s=grid.step_s,
        source=StepReport(step_s, 0, np.zeros(0, dtype=np.int64), None, None), aggregations=aggregations,
    ).series  # fmt: skip
    lengths = [len(one.values) for one in found]
    times = np.concatenate([one.start + grid.step_s * np.arange(len(one.values)) for one in found]) + grid.phase_s
    series, values = np.repeat(np.arange(len(found)), lengths), np.concatenate([one.values for one in found])
    filled = ~np.isnan(values).all(axis=1)
    return RowTable(series[filled], times[filled], values[filled], np.flatnonzero(filled))


def _distances(rows: RowTable, owners: Ints) -> Ints:
    """Seconds between the times of an issue; of a series where issues have one time each."""
    found: Ints = np.diff(rows.times)[rows.within]
    if len(found) or len(rows.times) < 2:
        return found
    series = owners[rows.source_rows]
    order = np.lexsort((rows.times, series))
    later: Ints = np.diff(rows.times[order])[np.diff(series[order]) == 0]
    return later[later > 0]


def _by_series(
    owners: Ints, rows: RowTable, issued: Ints, names: tuple[str, ...], vintages: VintagesConfig
) -> dict[str, SeriesVintages]:
    used = issued <= rows.times
    owners, times, issued, values = owners[used], rows.times[used], issued[used], rows.values[used]
    order = np.lexsort((issued, times, owners))
    owners, times, issued = owners[order], times[order], issued[order]
    changes = np.r_[True, (np.diff(owners) != 0) | (np.diff(times) != 0)] if len(owners) else np.zeros(0, np.bool_)
    values = _carried(values[order], changes)
    bounds = np.searchsorted(owners, np.arange(len(names) + 1))
    return {
        name: SeriesVintages(vintages.columns, times[a:b], issued[a:b], values[a:b], shared=vintages.shared)
        for name, a, b in zip(names, bounds[:-1], bounds[1:], strict=True)
    }


def _carried(values: Floats, begins: npt.NDArray[np.bool_]) -> Floats:
    """Values `[R,n]` whose gaps are filled by the row before them, where that speaks of the same step."""
    rows = np.arange(len(values))
    start = np.maximum.accumulate(np.where(begins, rows, 0))
    carried = values.copy()
    for i in range(values.shape[1]):
        last = np.maximum.accumulate(np.where(np.isnan(values[:, i]), -1, rows))
        carried[:, i] = np.where(last >= start, values[np.maximum(last, 0), i], np.nan)
    return carried
