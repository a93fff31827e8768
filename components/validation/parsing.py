"""Turn columns as a source writes them into numbers and names, or say where that fails."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.validation.naming import SeriesNames
from components.validation.sources import SourceTable
from components.validation.sources.table import NumberFormat
from components.validation.words import MISSING_WORDS
from forecasting.errors import DataError

_TRUE_WORDS = ("true", "yes")
_FALSE_WORDS = ("false", "no")


@dataclass(frozen=True)
class IdColumn:
    """Names of the series in order, and the index into them of every row `[rows]`."""

    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]


def parse_numbers(source: SourceTable, column: str) -> npt.NDArray[np.float64]:
    """Read a column as float64 `[rows]`; true and false become 1 and 0, missing words NaN.

    Raises:
        DataError: A value is no finite number; the message has the first one and its row.
    """
    numbers = read_numbers(source, column)
    bad = np.flatnonzero(np.isinf(numbers))
    if len(bad):
        row = int(bad[0])
        raise bad_number(
            source.name,
            column,
            row=source.row_name(row),
            value=written_value(source, column, row),
            n_rows=len(bad),
            form=source.numbers,
        )
    return numbers


def read_numbers(source: SourceTable, column: str) -> npt.NDArray[np.float64]:
    """As `parse_numbers`, with infinity where a value is no finite number.

    Raises:
        DataError: The column holds nothing that could be numbers.
    """
    values = source.table[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return _numbers_from_text(values, source.numbers)
    if pa.types.is_boolean(values.type) or pa.types.is_decimal(values.type):
        return _to_numpy(pc.cast(values, pa.float64()))
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _to_numpy(pc.cast(values, pa.float64(), safe=False))
    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    raise DataError(f"{source.name}: column {column!r} must hold numbers; it holds {values.type}")


def written_value(source: SourceTable, column: str, row: int) -> object:
    """A value as it is written in the source."""
    return source.table[column][row].as_py()


def bad_number(source: str, column: str, *, row: str, value: object, n_rows: int, form: NumberFormat) -> DataError:
    """The error that a column has values that are no finite numbers, the first of which is named."""
    return DataError(
        f"{source}: column {column!r} must hold finite numbers; {row} has {value!r}{_and_more(n_rows)}{_sign_hint(value, form)}"
    )


class RowFaultError(DataError):
    """Rows that have one fault; the message names the first and counts them."""

    def __init__(self, before: str, n_rows: int, after: str = "") -> None:
        """The message without and with the number of rows."""
        super().__init__(f"{before}{_and_more(n_rows)}{after}")
        self._before, self._n_rows, self._after = before, n_rows, after

    def plus(self, n_rows: int) -> "RowFaultError":
        """The same with rows of later batches."""
        return RowFaultError(self._before, self._n_rows + n_rows, self._after)

    @property
    def n_rows(self) -> int:
        """Rows that have it."""
        return self._n_rows


def parse_ids(source: SourceTable, columns: tuple[str, ...], *, single: str) -> IdColumn:
    """Name the series of every row: the id columns joined by `/`, or `single` where there are none.

    Raises:
        DataError: An id is missing, or two different series would get the same name.
    """
    found = SeriesNames(columns, single=single)
    codes = found.codes(source)
    order = sorted(range(len(found.names)), key=found.names.__getitem__)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return IdColumn(tuple(found.names[i] for i in order), rank[codes])


def text_column(source: SourceTable, column: str) -> "pd.Series[str]":
    """A column as text, missing where there is none."""
    values = source.table[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.cast(values, pa.string()).to_pandas()


def _numbers_from_text(values: pa.Array, form: NumberFormat) -> npt.NDArray[np.float64]:
    """As `parse_numbers`; what is no number becomes infinite, so that one place reports it."""
    words = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    words = pc.if_else(pc.is_in(words, pa.array(MISSING_WORDS)), None, words)
    words = pc.if_else(pc.is_in(words, pa.array(_TRUE_WORDS)), "1", words)
    words = pc.if_else(pc.is_in(words, pa.array(_FALSE_WORDS)), "0", words)
    words = _with_points(words, form)
    try:
        return _to_numpy(pc.cast(words, pa.float64()))
    except pa.ArrowInvalid:
        series = words.to_pandas()
        numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, copy=True)
        numbers[np.isnan(numbers) & series.notna().to_numpy()] = np.inf
        return numbers


def _with_points(words: pa.Array, form: NumberFormat) -> pa.Array:
    """Numbers in the form that Arrow reads; a number in another form than the stated one becomes no number."""
    if form == NumberFormat():
        return words
    point, comma = re.escape(form.decimal), re.escape(form.thousands or "")
    whole = rf"(?:\d+|\d{{1,3}}(?:{comma}\d{{3}})+)" if form.thousands else r"\d+"
    pattern = rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:e[+-]?\d+)?$"
    stated = pc.match_substring_regex(words, pattern)
    if form.thousands:
        words = pc.replace_substring(words, form.thousands, "")
    return pc.if_else(stated, pc.replace_substring(words, form.decimal, "."), "no number")


def _sign_hint(value: object, form: NumberFormat) -> str:
    """Which setting to look at where a number has a sign that was not stated."""
    found = sorted(set(str(value)) & set(".,") - {form.thousands}) if isinstance(value, str) else []
    if not found or not any(sign.isdigit() for sign in str(value)):
        return ""
    return f"; data.csv.decimal is {form.decimal!r} and data.csv.thousands {form.thousands!r}"


def _to_numpy(values: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _and_more(n_found: int) -> str:
    return f" ({n_found:,} such rows)" if n_found > 1 else ""
