"""Turn columns as a source writes them into numbers, times and names, or say where that fails."""

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
from forecasting.config.table import DataConfig
from forecasting.errors import DataError
from forecasting.localities import time_zone

_TRUE_WORDS = ("true", "yes")
_FALSE_WORDS = ("false", "no")
_ZONED = r"\d[Tt ]\d{2}[\d:.,]*\s*(?:[Zz]|[+-]\d{1,2}(?::?\d{2})?)\s*$"
"""A time of day, in the basic or the extended form of ISO 8601, followed by a zone; RE2 syntax."""


@dataclass(frozen=True)
class TimeColumn:
    """UTC epoch seconds `[rows]`, and how many stamps carried no zone."""

    seconds: npt.NDArray[np.int64]
    n_naive: int


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


class RepeatedHours:
    """The hours that a clock shows twice, across batches: which stamps of a series came up before."""

    def __init__(self) -> None:
        """Nothing came up yet."""
        self._seen: set[tuple[int, int]] = set()

    def are_repeated(self, codes: npt.NDArray[np.int64], stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether series and stamp came up before `[n]`."""
        found = []
        for key in zip(codes.tolist(), stamps.tolist(), strict=True):
            found.append(key in self._seen)
            self._seen.add(key)
        return np.asarray(found, dtype=np.bool_)


def parse_times(
    source: SourceTable, data: DataConfig, series_codes: npt.NDArray[np.int64], hours: RepeatedHours | None = None
) -> TimeColumn:
    """Read the time column as UTC epoch seconds.

    Stamps without a zone are read on the clock of `data.time_zone`. Where that clock goes back, the
    first row of a series with a repeated stamp is before the change and the second after it.

    Args:
        source: A table, or a batch of it.
        data: Names and zone.
        series_codes: Number of the series of every row `[rows]`, the same in all batches.
        hours: What batches before it had of the hours that the clock repeats.

    Raises:
        ConfigError: `data.time_zone` is no known zone.
        DataError: A stamp cannot be read, is missing, has no zone where others have one, or does not
            exist on the clock of `data.time_zone`.
    """
    column, hours = source.table[data.time_column].combine_chunks(), hours or RepeatedHours()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _times_from_text(column, source, data, series_codes, hours)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise DataError(
            f"{source.name}: column {data.time_column!r} must hold times (ISO 8601 text, timestamps or dates); it holds {column.type}"
        )
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(
            f"{source.name}: column {data.time_column!r} must have a time in every row; {source.row_name(row)} has none"
        )
    zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
    seconds = pc.cast(
        pc.cast(column, pa.timestamp("s", tz="UTC" if zoned else None), safe=False), pa.int64()
    ).to_numpy()
    if zoned:
        return TimeColumn(seconds, 0)
    local = pd.Series(pd.DatetimeIndex(seconds.astype("datetime64[s]")))
    return TimeColumn(_localised(local, source, data, series_codes, hours), len(seconds))


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


def _times_from_text(
    column: pa.Array, source: SourceTable, data: DataConfig, series_codes: npt.NDArray[np.int64], hours: RepeatedHours
) -> TimeColumn:
    zoned = pc.fill_null(pc.match_substring_regex(column, _ZONED), False).to_numpy(zero_copy_only=False)
    parsed = pd.Series(pd.to_datetime(column.to_pandas(), format="ISO8601", utc=True, errors="coerce"))
    bad = np.flatnonzero(parsed.isna().to_numpy())
    if len(bad):
        row = int(bad[0])
        raise RowFaultError(
            f"{source.name}: column {data.time_column!r} must hold ISO 8601 times such as 2014-01-31T13:00:00Z or 2014-01-31; "
            f"{source.row_name(row)} has {column[row].as_py()!r}",
            len(bad),
        )
    if zoned.any() and not zoned.all():
        raise mixed_zones(source, data.time_column, int(np.flatnonzero(~zoned)[0]), int((~zoned).sum()))
    if zoned.all():
        return TimeColumn(_epoch_seconds(parsed), 0)
    return TimeColumn(_localised(parsed.dt.tz_localize(None), source, data, series_codes, hours), len(column))


def mixed_zones(source: SourceTable, column: str, row: int, n_rows: int) -> RowFaultError:
    """The error that some times carry a zone and others do not, the first of which is `row`."""
    return RowFaultError(
        f"{source.name}: column {column!r} must carry a time zone in every row or in none; "
        f"{source.row_name(row)} has {written_value(source, column, row)!r}",
        n_rows,
    )


def _localised(
    local: "pd.Series[pd.Timestamp]", source: SourceTable, data: DataConfig, series_codes: npt.NDArray[np.int64],
    hours: RepeatedHours,
) -> npt.NDArray[np.int64]:  # fmt: skip
    if data.time_zone is None:
        raise DataError(
            f"{source.name}: column {data.time_column!r} has times without a zone, such as {local.iloc[0]}; "
            "set data.time_zone (UTC for daily tables, or for example Europe/Berlin)"
        )
    zone = time_zone(data.time_zone)
    stamps = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if (odd := stamps.isna().to_numpy()).any():
        twice = local[odd]
        repeated = hours.are_repeated(series_codes[odd], twice.to_numpy(dtype="datetime64[s]").astype(np.int64))
        stamps[odd] = twice.dt.tz_localize(zone, ambiguous=~repeated, nonexistent="NaT")
    bad = np.flatnonzero(stamps.isna().to_numpy())
    if len(bad):
        row = int(bad[0])
        raise RowFaultError(
            f"{source.name}: column {data.time_column!r} has the time {local.iloc[row]} in {source.row_name(row)}, which the clock of "
            f"{data.time_zone} skips",
            len(bad),
            "; set data.time_zone to the zone in which the table was written",
        )
    return _epoch_seconds(stamps.dt.tz_convert("UTC"))


def _epoch_seconds(stamps: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    return stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.int64)


def _and_more(n_found: int) -> str:
    return f" ({n_found:,} such rows)" if n_found > 1 else ""
