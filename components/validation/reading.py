"""From an opened source to rows: those that were known at the cutoff, parsed and sorted.

Rows are cut before anything is derived from them, so that what comes later cannot change what a run
with an earlier cutoff finds. Of later rows only known covariates are read, for the horizon.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.duplicates import merge_duplicates
from components.validation.grid import RowTable
from components.validation.parsing import IdColumn
from components.validation.sources import SourceTable
from components.validation.times import TimeColumn
from forecasting.config.root import ValidateDataSettings
from forecasting.config.table import DataConfig
from forecasting.config.validation import DuplicatePolicy
from forecasting.durations import duration_s
from forecasting.errors import ConfigError


@dataclass(frozen=True)
class ParsedTable:
    """Columns of a source in its own row order, up to the last target before the cutoff.

    ids: the series that have such rows. numbers `[rows]` each: target, observed, known, then the
    censoring column where it is none of them. static: for each static column one category a series.
    later: rows after the last target, sorted, with the known covariates as values; about a horizon of them.
    """

    source: SourceTable
    ids: IdColumn
    times: TimeColumn
    numbers: dict[str, npt.NDArray[np.float64]]
    static: dict[str, tuple[str, ...]]
    later: RowTable

    @property
    def n_rows(self) -> int:
        """Rows up to the last target."""
        return len(self.times.seconds)


@dataclass(frozen=True)
class SortingReport:
    """What sorting found. Rows are rows of the parsed table.

    equal `[E]`: rows that repeat series, time and values of another; dropped. differing `[D]`: rows that
    repeat series and time with other values; `validation.duplicates` says what becomes of them.
    descents `[K]`: rows that are earlier than the row of their series before them.
    """

    rows: RowTable
    equal: npt.NDArray[np.int64]
    differing: npt.NDArray[np.int64]
    descents: npt.NDArray[np.int64]


def number_columns(data: DataConfig) -> tuple[str, ...]:
    """Numeric columns: target, observed, known, then the censoring column where it is none of them."""
    censor = (data.censored_by,) if data.censored_by else ()
    return tuple(dict.fromkeys((data.target, *data.observed, *data.known, *censor)))


def sort_rows(table: ParsedTable, policy: DuplicatePolicy = "refuse") -> SortingReport:
    """Sort by series and time, and make one row of several with one time stamp."""
    values = np.column_stack(list(table.numbers.values()))
    order, repeats = _order(table.ids.codes, table.times.seconds)
    merged = merge_duplicates(values[order], repeats, policy)
    return SortingReport(
        rows=RowTable(
            table.ids.codes[order][~repeats], table.times.seconds[order][~repeats], merged.values, order[~repeats]
        ),
        equal=np.sort(order[repeats & ~merged.differs]),
        differing=np.sort(order[repeats & merged.differs]),
        descents=_descents(table.ids.codes, table.times.seconds),
    )


def later_rows(
    codes: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64], columns: list[npt.NDArray[np.float64]]
) -> RowTable:
    """Rows after the last target, sorted, the first of each time stamp; columns are the known covariates."""
    values = np.column_stack(columns) if columns else np.empty((len(seconds), 0))
    order, repeats = _order(codes, seconds)
    kept = order[~repeats]
    return RowTable(codes[kept], seconds[kept], values[kept], kept)


def _order(
    codes: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Order by series and time, and which of the ordered rows repeat the one before them."""
    order = sorted_order(codes, seconds)
    repeats = (np.diff(codes[order]) == 0) & (np.diff(seconds[order]) == 0)
    return order, np.r_[np.zeros(min(1, len(order)), dtype=np.bool_), repeats]


def reach_of(settings: ValidateDataSettings, last: int) -> int:
    """Time up to which, but not at which, rows after the last target are read for their known covariates.

    Two steps more than the horizon: the last target need not stand at the end of its step.
    """
    return last + (settings.forecast.horizon + 2) * duration_s(settings.data.frequency)


def check_roles(settings: ValidateDataSettings) -> None:
    """Check that settings give each column one role, and name no column without one.

    Raises:
        ConfigError: They do not.
    """
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


def sorted_order(codes: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Stable order by series and time `[rows]`; quick where rows are in it, or in that of time."""
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    same, rises = codes[1:] == codes[:-1], seconds[1:] >= seconds[:-1]
    if bool(np.all((codes[1:] > codes[:-1]) | (same & rises))):
        return np.arange(len(codes))
    # A stable sort of 16-bit integers is a radix sort.
    narrow = codes.astype(np.int16 if codes.max() < 1 << 15 else np.int64)
    return np.argsort(narrow, kind="stable") if bool(rises.all()) else np.lexsort((seconds, codes))


def _descents(codes: npt.NDArray[np.int64], seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of the source that are earlier than the row of their series before them."""
    by_series = sorted_order(codes, np.zeros(len(codes), dtype=np.int64))
    falls = (np.diff(seconds[by_series]) < 0) & (np.diff(codes[by_series]) == 0)
    return np.sort(by_series[1:][falls])
