"""From an opened source to sorted rows, with notes on what sorting had to do."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.grid import RowTable
from components.validation.parsing import IdColumn, TimeColumn, parse_ids, parse_numbers, parse_static, parse_times
from components.validation.sources import SourceTable
from forecasting.config.root import ValidateDataSettings
from forecasting.errors import ConfigError, DataError


@dataclass(frozen=True)
class ParsedTable:
    """Columns of a source in its own row order.

    numbers `[rows]` each: target, observed, known, then the censoring column where it is none of them.
    static: for each static column one category a series.
    """

    source: SourceTable
    ids: IdColumn
    times: TimeColumn
    numbers: dict[str, npt.NDArray[np.float64]]
    static: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SortingReport:
    """What sorting found. Rows are rows of the source.

    duplicates `[D]`: rows whose series and time an earlier row has; the earlier row is kept.
    n_differing: duplicates with other values. descents `[K]`: rows that are earlier than the row of
    their series before them.
    """

    rows: RowTable
    duplicates: npt.NDArray[np.int64]
    n_differing: int
    descents: npt.NDArray[np.int64]


def parse_table(source: SourceTable, settings: ValidateDataSettings) -> ParsedTable:
    """Parse every column that the configuration names; a table that is one series has the model's name as id.

    Raises:
        ConfigError: A column has two roles, a setting names a column without one, or `data.time_zone` is no zone.
        DataError: A value cannot be read; the message names file, column, row and value.
    """
    data = settings.data
    _check_roles(settings)
    ids = parse_ids(source, data.id_columns, single=settings.name)
    times = parse_times(source, data, ids.codes)
    names = dict.fromkeys(
        (data.target, *data.observed, *data.known, *((data.censored_by,) if data.censored_by else ()))
    )
    numbers = {name: parse_numbers(source, name) for name in names}
    if np.isnan(numbers[data.target]).all():
        raise DataError(
            f"{source.path}: the target {data.target!r} must have values, and every one of its {len(ids.codes):,} rows is missing"
        )
    static = {name: parse_static(source, name, ids) for name in data.static}
    return ParsedTable(source, ids, times, numbers, static)


def sort_rows(table: ParsedTable) -> SortingReport:
    """Sort by series and time, keep the first of several rows with one time stamp."""
    order = np.lexsort((table.times.seconds, table.ids.codes))
    series, times = table.ids.codes[order], table.times.seconds[order]
    values = np.column_stack([column[order] for column in table.numbers.values()])
    same = np.r_[False, (np.diff(series) == 0) & (np.diff(times) == 0)]
    previous = values[:-1]
    equal = np.r_[True, ((values[1:] == previous) | (np.isnan(values[1:]) & np.isnan(previous))).all(axis=1)]
    rows = RowTable(series[~same], times[~same], values[~same], order[~same])
    return SortingReport(
        rows=rows,
        duplicates=np.sort(order[same]),
        n_differing=int(np.count_nonzero(same & ~equal)),
        descents=_descents(table.ids.codes, table.times.seconds),
    )


def _check_roles(settings: ValidateDataSettings) -> None:
    data = settings.data
    roles = (data.target, *data.observed, *data.known)
    for name in roles:
        if roles.count(name) > 1:
            raise ConfigError(
                f"data must give each column one role of target, observed and known; {name!r} has several"
            )
    for section, names in (("data.aggregation", data.aggregation), ("validation.ranges", settings.validation.ranges)):
        for name in names:
            if name not in (*roles, data.censored_by):
                raise ConfigError(f"{section} names {name!r}, which is none of the numeric columns {', '.join(roles)}")


def _descents(codes: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of the source that are earlier than the row of their series before them."""
    by_series = np.argsort(codes, kind="stable")
    falls = (np.diff(seconds[by_series]) < 0) & (np.diff(codes[by_series]) == 0)
    return np.sort(by_series[1:][falls])
