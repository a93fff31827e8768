"""Guess which columns together name a series: the fewest with which no time stamp occurs twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.errors import DataError
from pipelines.initial.look import ColumnKind, ColumnLook, TableLook
from pipelines.initial.words import ID_WORDS, PLAN_WORDS, SURPRISE_WORDS, has_word, target_rank

_MAX_CANDIDATES = 8
_MAX_COLUMNS = 3
_MIN_ROWS_PER_SERIES = 10
_MAX_DUPLICATE_RATIO = 0.01
"""Share of repeated time stamps that is taken for faults of the table, not for another series."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KeyGuess:
    """Columns that name a series, in the table's order.

    series `[rows]`: code of each row's series. n_duplicates: rows whose series and time an earlier row has.
    check: a person should confirm them, for no name tells.
    """

    columns: tuple[str, ...]
    series: Codes
    n_series: int
    n_duplicates: int
    check: bool = False

    def is_constant(self, codes: Codes) -> bool:
        """Whether a column has one value for each series, of which there are several."""
        if self.n_series < 2:
            return False
        first = np.empty(self.n_series, dtype=np.int64)
        first[self.series[::-1]] = codes[::-1]
        return bool(np.array_equal(first[self.series], codes))


def guess_key(look: TableLook, time: str, *, without: tuple[str, ...] = ()) -> KeyGuess:
    """The fewest columns with which no time stamp occurs twice, or hardly any.

    Of as many columns each, those win that leave fewest repeats, then those with a name's word, then the first.

    Args:
        look: The table.
        time: Its time column.
        without: Columns that are no part of the name.

    Raises:
        DataError: No columns tell rows of the same time apart.
    """
    times, candidates = look.column(time).codes, _candidates(look, (time, *without))
    for n_columns in range(min(_MAX_COLUMNS, len(candidates)) + 1):
        found = [
            (guess.n_duplicates, -n_hints, guess)
            for n_hints, guess in _guesses(candidates, n_columns, times)
            if guess.n_duplicates <= _MAX_DUPLICATE_RATIO * look.n_rows
        ]
        if found:
            best = min(found, key=lambda each: each[:2])[2]
            return replace(best, columns=tuple(c.name for c in look.columns if c.name in best.columns))
    repeated = _n_repeats(times, np.zeros(look.n_rows, dtype=np.int64))
    names = ", ".join(column.name for column in candidates) or "none"
    raise DataError(
        f"{look.name}: each row must have its own time within its series; {repeated:,} of {look.n_rows:,} rows repeat a time of "
        f"{time!r}, and no {_MAX_COLUMNS} columns or fewer tell them apart (columns that may name a series: {names}); "
        "give the rows of each series a name of their own"
    )


def _guesses(candidates: list[ColumnLook], n_columns: int, times: Codes) -> Iterator[tuple[int, KeyGuess]]:
    for columns in combinations(candidates, n_columns):
        series, n_series = _join(columns, len(times))
        if n_series * _MIN_ROWS_PER_SERIES > len(times) and columns:
            continue
        hints = sum(has_word(column.name, ID_WORDS) for column in columns)
        is_surprising = any(c.kind is ColumnKind.NUMBER and not has_word(c.name, ID_WORDS) for c in columns)
        names = tuple(column.name for column in columns)
        yield hints, KeyGuess(names, series, n_series, _n_repeats(times, series), is_surprising)


def _candidates(look: TableLook, without: tuple[str, ...]) -> list[ColumnLook]:
    """Columns that may be part of a name: those with a name's word first, then text, then whole numbers."""
    found = [
        column
        for column in look.of_kind(ColumnKind.TEXT, ColumnKind.NUMBER)
        if column.name not in without
        and 1 < column.n_distinct <= look.n_rows / _MIN_ROWS_PER_SERIES
        and not (column.codes < 0).any()
        and (column.kind is ColumnKind.TEXT or _may_number_series(column))
    ]
    return sorted(found, key=lambda c: (not has_word(c.name, ID_WORDS), c.kind is not ColumnKind.TEXT))[
        :_MAX_CANDIDATES
    ]


def _may_number_series(column: ColumnLook) -> bool:
    if not column.is_whole or has_word(column.name, PLAN_WORDS | SURPRISE_WORDS):
        return False
    return target_rank(column.name) is None


def _join(columns: tuple[ColumnLook, ...], n_rows: int) -> tuple[Codes, int]:
    joined = np.zeros(n_rows, dtype=np.int64)
    for column in columns:
        joined = joined * column.n_distinct + column.codes
    series, names = pd.factorize(joined)
    return series.astype(np.int64), len(names)


def _n_repeats(times: Codes, series: Codes) -> int:
    n_times = int(times.max()) + 2
    return len(times) - len(pd.unique(series * n_times + times))
