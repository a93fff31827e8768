"""Guess which columns together name a series: the fewest with which no time stamp occurs twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.errors import DataError
from pipelines.initial.look import ColumnKind, ColumnLook, TableLook, read_times
from pipelines.initial.words import ID_WORDS, PLAN_WORDS, SURPRISE_WORDS, has_word, target_rank

_MAX_CANDIDATES = 8
_MAX_COLUMNS = 3
_MIN_ROWS_PER_SERIES = 10
_MAX_DUPLICATE_RATIO = 0.01
"""Share of repeated time stamps that is taken for faults of the table, not for another series."""
_MAX_REPEAT_RATIO, _MIN_SAME_RATIO = 0.5, 0.9
"""Share of repeated time stamps of one series whose rows are written several times, and of these with one target."""
_MAX_COMMON_RATIO = 0.5
"""Share of the commonest target from which on equal targets say nothing."""
_MIN_FILLED_RATIO = 0.5
"""Share of the steps between the first and the last row of each series that must have a row."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KeyGuess:
    """Columns that name a series, in the table's order.

    series `[rows]`: code of each row's series. n_duplicates: rows whose series and time an earlier row has.
    check: a person should confirm them, for no name tells. same_ratio: share of the repeated rows whose target is that
    of the first row of their time, where the rows of one series are written several times.
    """

    columns: tuple[str, ...]
    series: Codes
    n_series: int
    n_duplicates: int
    check: bool = False
    same_ratio: float | None = None

    def is_constant(self, codes: Codes) -> bool:
        """Whether a column has one value for each series, of which there are several."""
        if self.n_series < 2:
            return False
        first = np.empty(self.n_series, dtype=np.int64)
        first[self.series[::-1]] = codes[::-1]
        return bool(np.array_equal(first[self.series], codes))


def guess_key(look: TableLook, time: str, *, without: tuple[str, ...] = (), target: str | None = None) -> KeyGuess:
    """The fewest columns with which no time stamp occurs twice, or hardly any.

    None are needed either where the smaller part of the rows repeats a time, with the same target: one series with
    rows for each of several remarks. Of as many columns each, those win that leave fewest repeats, then those with a
    name's word, then the first; columns whose series have less than half of their own steps come last.

    Args:
        look: The table.
        time: Its time column.
        without: Columns that are no part of the name.
        target: The likely target, which tells repeated rows of one series from those of several; none: not known.

    Raises:
        DataError: No columns tell rows of the same time apart.
    """
    times, candidates = look.column(time).codes, _candidates(look, (time, *without))
    if one := _one_series(look, times, target):
        return one
    thin = None
    for n_columns in range(1, min(_MAX_COLUMNS, len(candidates)) + 1):
        found = sorted(
            (
                (guess.n_duplicates, -n_hints, i, guess)
                for i, (n_hints, guess) in enumerate(_guesses(candidates, n_columns, times))
                if guess.n_duplicates <= _MAX_DUPLICATE_RATIO * look.n_rows
            ),
            key=lambda each: each[:3],
        )
        for *_, guess in found:
            named = replace(guess, columns=tuple(c.name for c in look.columns if c.name in guess.columns))
            if _filled_ratio(look, time, guess.series) >= _MIN_FILLED_RATIO:
                return named
            thin = thin or replace(named, check=True)
    if thin is not None:
        return thin
    names = ", ".join(column.name for column in candidates) or "none"
    raise DataError(
        f"{look.name}: each row must have its own time within its series; {_n_repeats(times, np.zeros_like(times)):,} of {look.n_rows:,} rows "
        f"repeat a time of {time!r}, and no {_MAX_COLUMNS} columns or fewer tell them apart (columns that may name a series: {names}); "
        "give the rows of each series a name of their own"
    )


def _one_series(look: TableLook, times: Codes, target: str | None) -> KeyGuess | None:
    """The table as one series, where repeated times are few, or few enough and with the same target."""
    series = np.zeros(look.n_rows, dtype=np.int64)
    n_repeats = _n_repeats(times, series)
    one = KeyGuess((), series, 1, n_repeats)
    if n_repeats <= _MAX_DUPLICATE_RATIO * look.n_rows:
        return one
    numbers = look.column(target).numbers if target else None
    if numbers is None or n_repeats > _MAX_REPEAT_RATIO * look.n_rows:
        return None
    values = pd.Series(numbers)
    if values.value_counts(normalize=True).max() > _MAX_COMMON_RATIO:
        return None
    is_repeat = pd.Series(times).duplicated().to_numpy()
    first = values.groupby(times).transform("first").to_numpy()
    same_ratio = float(np.mean(first[is_repeat] == numbers[is_repeat]))
    return replace(one, same_ratio=same_ratio) if same_ratio >= _MIN_SAME_RATIO else None


def _filled_ratio(look: TableLook, time: str, series: Codes) -> float:
    """Share of the steps between the first and the last row of each series that have a row."""
    seconds, _ = read_times(look.source, time)
    order = np.lexsort((seconds, series))
    seconds, series = seconds[order], series[order]
    distances = np.diff(seconds)[np.diff(series) == 0]
    distances = distances[distances > 0]
    if not len(distances):
        return 0.0
    lengths, counts = np.unique(distances, return_counts=True)
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    n_rows = np.diff(np.append(starts, len(series)))
    n_steps = (seconds[starts + n_rows - 1] - seconds[starts]) / lengths[np.argmax(counts)] + 1
    return float(n_rows.sum() / n_steps.sum())


def _guesses(candidates: list[ColumnLook], n_columns: int, times: Codes) -> Iterator[tuple[int, KeyGuess]]:
    for columns in combinations(candidates, n_columns):
        series, n_series = _join(columns, len(times))
        if n_series * _MIN_ROWS_PER_SERIES > len(times):
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
