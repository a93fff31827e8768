"""Look at every column of a table: does it hold times, numbers, flags or text, and how many different values."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.validation.parsing import parse_numbers
from components.validation.sources import SourceTable
from components.validation.times import parse_times
from components.validation.words import MISSING_WORDS
from forecasting.config.table import DataConfig
from forecasting.errors import DataError
from pipelines.initial.words import TIME_WORDS, has_word

_SAMPLE_ROWS = 2_000
"""Rows, spread over the table, that decide whether a column is worth reading whole."""
_MIN_YEAR_DIGITS = 8


class ColumnKind(StrEnum):
    """What the values of a column are."""

    TIME = "time"
    NUMBER = "number"
    FLAG = "flag"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True)
class ColumnLook:
    """One column.

    codes `[rows]`: which of the different values each row has, -1 where it has none. numbers `[rows]`:
    only of numbers and flags, NaN where missing.
    """

    name: str
    kind: ColumnKind
    n_distinct: int
    codes: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        if self.numbers is None:
            return False
        found = self.numbers[~np.isnan(self.numbers)]
        return bool(np.all(found == np.round(found)))

    @property
    def filled_ratio(self) -> float:
        """Share of rows that have a value."""
        return float(np.mean(self.codes >= 0))


@dataclass(frozen=True)
class TimingGuess:
    """How times are written where no column holds them in ISO 8601.

    column: under which they were put into the table. settings: of `data`, time_format or time_parts or both. used: columns
    that they are read from.
    """

    column: str
    settings: dict[str, Any]
    used: tuple[str, ...]
    reason: str
    check: bool = False


@dataclass(frozen=True)
class TableLook:
    """Every column of a table in its order.

    problems: why a column of numbers or times cannot be read, by name. timing: how times are written; none: in ISO 8601.
    """

    name: str
    n_rows: int
    columns: tuple[ColumnLook, ...]
    problems: dict[str, str]
    source: SourceTable
    timing: TimingGuess | None = None

    def column(self, name: str) -> ColumnLook:
        """The column of a name."""
        return next(column for column in self.columns if column.name == name)

    def of_kind(self, *kinds: ColumnKind) -> tuple[ColumnLook, ...]:
        """Columns of some kinds."""
        return tuple(column for column in self.columns if column.kind in kinds)

    def without(self, names: Collection[str]) -> "TableLook":
        """The same without some columns."""
        return replace(self, columns=tuple(column for column in self.columns if column.name not in names))


def look_at_columns(source: SourceTable) -> TableLook:
    """Look at the columns of a table that was read with all of them."""
    problems: dict[str, str] = {}
    columns = tuple(_look_at_column(source, name, problems) for name in source.table.column_names)
    return TableLook(source.name, source.table.num_rows, columns, problems, source)


def read_times(source: SourceTable, column: str, *, zone: str = "UTC") -> tuple[npt.NDArray[np.int64], bool]:
    """Times of a column in epoch seconds `[rows]`, and whether they carry no zone and were read on the clock of `zone`.

    Raises:
        DataError: A value is no time, or there is none.
    """
    one_series = np.zeros(source.table.num_rows, dtype=np.int64)
    times = parse_times(source, DataConfig(time_column=column, time_zone=zone), one_series)
    return times.seconds, times.n_naive > 0


def _look_at_column(source: SourceTable, name: str, problems: dict[str, str]) -> ColumnLook:
    values = source.table[name].combine_chunks()
    codes, n_distinct = _codes(values)
    if n_distinct == 0:
        return ColumnLook(name, ColumnKind.EMPTY, 0, codes)
    kind = _kind_by_sample(source, name)
    if kind is not ColumnKind.NUMBER:
        return ColumnLook(name, kind, n_distinct, codes)
    try:
        numbers = parse_numbers(source, name)
    except DataError as error:
        problems[name] = str(error)
        return ColumnLook(name, ColumnKind.TEXT, n_distinct, codes)
    is_flag = n_distinct <= 2 and bool(np.all(np.isin(numbers[~np.isnan(numbers)], (0.0, 1.0))))
    return ColumnLook(name, ColumnKind.FLAG if is_flag else ColumnKind.NUMBER, n_distinct, codes, numbers)


def _codes(values: pa.Array) -> tuple[npt.NDArray[np.int64], int]:
    """Codes of the values; words that stand for a missing value count as missing."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    encoded = pc.dictionary_encode(values)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return codes, len(encoded.dictionary)
    words = pc.utf8_lower(pc.utf8_trim_whitespace(encoded.dictionary))
    is_missing = pc.is_in(words, pa.array(MISSING_WORDS, type=words.type)).to_numpy(zero_copy_only=False)
    new = np.append(np.where(is_missing, -1, np.cumsum(~is_missing) - 1), -1)
    return new[codes], int(np.count_nonzero(~is_missing))


def _kind_by_sample(source: SourceTable, name: str) -> ColumnKind:
    sample = _sample(source, name)
    if not sample.table.num_rows:
        return ColumnKind.TEXT
    is_number = _can_read(lambda: parse_numbers(sample, name))
    if is_number and not _may_be_basic_dates(sample, name):
        return ColumnKind.NUMBER
    if _can_read(lambda: read_times(sample, name)):
        return ColumnKind.TIME
    return ColumnKind.NUMBER if is_number else ColumnKind.TEXT


def _sample(source: SourceTable, name: str) -> SourceTable:
    """Rows with a value, spread over the table."""
    chosen = np.zeros(source.table.num_rows, dtype=np.bool_)
    chosen[np.linspace(0, len(chosen) - 1, _SAMPLE_ROWS).astype(np.int64)] = True
    sample = source.where(chosen)
    codes, _ = _codes(sample.table[name].combine_chunks())
    return sample.where(codes >= 0)


def _can_read(read: Callable[[], object]) -> bool:
    try:
        read()
    except DataError:
        return False
    return True


def _may_be_basic_dates(sample: SourceTable, name: str) -> bool:
    """Whether numbers such as 20140131 may be dates: only where the name says so too."""
    values = sample.table[name]
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)) or not has_word(name, TIME_WORDS):
        return False
    return bool(pc.all(pc.match_substring_regex(values, rf"^\s*[12]\d{{{_MIN_YEAR_DIGITS - 1}}}\s*$")).as_py())
