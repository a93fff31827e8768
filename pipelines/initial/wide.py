"""Guess whether a table has one column a series: many columns of numbers that measure the same thing."""

import fnmatch
import re
from dataclasses import dataclass

import numpy as np

from pipelines.initial.look import ColumnKind, ColumnLook, TableLook
from pipelines.initial.words import PLAN_WORDS, SURPRISE_WORDS, has_word, target_rank

_MIN_NUMBERED, _MIN_NAMED = 3, 8
"""Columns that must be there: of names that differ by a number, and of any names."""
_MAX_NUMBERED_RATIO, _MAX_NAMED_RATIO = 1_000.0, 30.0
"""How much larger the large columns may be than the small ones, likewise."""
_MIN_FILLED = 0.5
"""Share of rows that a column must have to be the target of the others."""
_MAX_REPEATED = 0.01
"""Share of rows that may repeat a time, such as the hour that a clock shows twice."""
_PATTERN_SIGNS = re.compile(r"[\[\]*?]")


@dataclass(frozen=True)
class WideGuess:
    """Columns that are series. patterns: how a configuration names them. reason: why they are taken for series."""

    columns: tuple[str, ...]
    patterns: tuple[str, ...]
    reason: str


def guess_wide(look: TableLook, time: str) -> WideGuess | None:
    """The columns that are series; none where times are there several times, or the columns seem to measure different things.

    Columns whose names differ by a number only are series where they are most of the numbers and no other column
    has a target's name. Without such names it takes more columns, all of like size and none with a word that tells
    a role.

    Args:
        look: The table.
        time: Its time column.
    """
    if look.column(time).n_distinct < (1 - _MAX_REPEATED) * look.n_rows:
        return None
    varying = [column for column in look.of_kind(ColumnKind.NUMBER) if column.n_distinct > 1 and column.name != time]
    return _numbered(look, varying) or _named(varying)


def _numbered(look: TableLook, varying: list[ColumnLook]) -> WideGuess | None:
    groups: dict[str, list[ColumnLook]] = {}
    for column in varying:
        if re.search(r"\d", column.name) and not has_word(column.name, PLAN_WORDS | SURPRISE_WORDS):
            groups.setdefault(re.sub(r"\d+", "*", column.name), []).append(column)
    pattern, group = max(groups.items(), key=lambda pair: len(pair[1]), default=("", []))
    others = [column for column in varying if column not in group]
    if len(group) < _MIN_NUMBERED or len(group) < len(others):
        return None
    if any(target_rank(column.name) is not None for column in others) or _size_ratio(group) > _MAX_NUMBERED_RATIO:
        return None
    names = tuple(column.name for column in group)
    matching = {column.name for column in look.columns if fnmatch.fnmatchcase(column.name, pattern)}
    is_exact = matching == set(names) and not _PATTERN_SIGNS.search("".join(names))
    reason = f"{len(names):,} columns of numbers whose names differ by a number only: one series each"
    return WideGuess(names, (pattern,) if is_exact else names, reason)


def _named(varying: list[ColumnLook]) -> WideGuess | None:
    plain = [column for column in varying if not has_word(column.name, PLAN_WORDS | SURPRISE_WORDS)]
    # A column that ended long ago is one of the series, whatever its name says.
    named = [column for column in plain if target_rank(column.name) is not None and column.filled_ratio >= _MIN_FILLED]
    if len(plain) < _MIN_NAMED or named:
        return None
    ratio = _size_ratio(plain)
    if ratio > _MAX_NAMED_RATIO:
        return None
    names = tuple(column.name for column in plain)
    reason = f"{len(names):,} columns of numbers of like size (the large ones are {ratio:.1f} times the small ones): one series each"
    return WideGuess(names, names, reason)


def _size_ratio(columns: list[ColumnLook]) -> float:
    """90th over 10th percentile of the mean size of columns."""
    sizes = [float(np.nanmean(np.abs(column.numbers))) for column in columns if column.numbers is not None]
    low, high = np.quantile(sizes, (0.1, 0.9))
    return float(high / low) if low > 0 else float("inf")
