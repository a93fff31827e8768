"""Turn columns as a source writes them into times, or say where that fails."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.validation.parsing import RowFaultError, parse_numbers
from components.validation.sources import SourceTable
from forecasting.config.source import TimePartsConfig
from forecasting.config.table import DataConfig
from forecasting.errors import DataError
from forecasting.localities import time_zone

_ZONED = r"\d[Tt ]\d{2}[\d:.,]*\s*(?:[Zz]|[+-]\d{1,2}(?::?\d{2})?)\s*$"
"""A time of day, in the basic or the extended form of ISO 8601, followed by a zone; RE2 syntax."""
_EXAMPLE = datetime(2014, 1, 31, 13, tzinfo=UTC)

_DAY_S = 86_400
_BOUNDS = ((1, 9_999), (1, 12), (1, 31))
"""Of year, month and day."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TimeColumn:
    """UTC epoch seconds `[rows]`, and how many stamps carried no zone."""

    seconds: Ints
    n_naive: int


class RepeatedHours:
    """The hours that a clock shows twice, across batches: which stamps of a series came up before."""

    def __init__(self) -> None:
        """Nothing came up yet."""
        self._seen: set[tuple[int, int]] = set()

    def are_repeated(self, codes: Ints, stamps: Ints) -> npt.NDArray[np.bool_]:
        """Whether series and stamp came up before `[n]`."""
        found = []
        for key in zip(codes.tolist(), stamps.tolist(), strict=True):
            found.append(key in self._seen)
            self._seen.add(key)
        return np.asarray(found, dtype=np.bool_)


@dataclass(frozen=True)
class _Stamps:
    """Time stamps `[rows]`, of UTC where they carry a zone and else of a clock that is still to be named."""

    stamps: "pd.Series[pd.Timestamp]"
    is_zoned: bool


def parse_times(
    source: SourceTable, data: DataConfig, series_codes: Ints, hours: RepeatedHours | None = None
) -> TimeColumn:
    """Read the time column, or the columns that together are the time, as UTC epoch seconds.

    Stamps without a zone are read on the clock of `data.time_zone`. Where that clock goes back, the
    first row of a series with a repeated stamp is before the change and the second after it.

    Args:
        source: A table, or a batch of it.
        data: Names, form and zone.
        series_codes: Number of the series of every row `[rows]`, the same in all batches.
        hours: What batches before it had of the hours that the clock repeats.

    Raises:
        ConfigError: `data.time_zone` is no known zone.
        DataError: A stamp cannot be read, is missing, has no zone where others have one, or does not
            exist on the clock of `data.time_zone`.
    """
    found = _of_column(source, data) if data.time_parts is None else _of_parts(source, data, data.time_parts)
    if found.is_zoned:
        return TimeColumn(_epoch_seconds(found.stamps), 0)
    seconds = _localised(found.stamps, source, data, series_codes, hours or RepeatedHours())
    return TimeColumn(seconds, len(seconds))


def mixed_zones(source: SourceTable, data: DataConfig, row: int, n_rows: int) -> RowFaultError:
    """The error that some times carry a zone and others do not, the first of which is `row`."""
    return RowFaultError(
        f"{source.name}: {_label(data)} must carry a time zone in every row or in none; "
        f"{source.row_name(row)} has {_written(source, data, row)!r}",
        n_rows,
    )


def _label(data: DataConfig) -> str:
    names = data.time_columns
    return f"column {names[0]!r}" if len(names) == 1 else f"columns {', '.join(map(repr, names))}"


def _written(source: SourceTable, data: DataConfig, row: int) -> object:
    """The time of a row as it is written; of several columns joined by blanks."""
    values = [source.table[name][row].as_py() for name in data.time_columns]
    return values[0] if len(values) == 1 else " ".join(str(value) for value in values)


def _of_column(source: SourceTable, data: DataConfig) -> _Stamps:
    column = source.table[data.time_column].combine_chunks()
    if data.time_format is not None and pa.types.is_integer(column.type):
        column = pc.cast(column, pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _from_text(column, source, data)
    return _typed(column, source, data)


def _typed(column: pa.Array, source: SourceTable, data: DataConfig) -> _Stamps:
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise DataError(
            f"{source.name}: {_label(data)} must hold times (ISO 8601 text, timestamps or dates); it holds {column.type}"
        )
    if data.time_format is not None:
        raise DataError(
            f"{source.name}: data.time_format is of times that are text, and {_label(data)} holds {column.type}; remove it"
        )
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f"{source.name}: {_label(data)} must have a time in every row; {source.row_name(row)} has none")
    is_zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
    kind = pa.timestamp("s", tz="UTC" if is_zoned else None)
    seconds = pc.cast(pc.cast(column, kind, safe=False), pa.int64()).to_numpy()
    return _Stamps(_clock_times(seconds), is_zoned)


def _from_text(column: pa.Array, source: SourceTable, data: DataConfig) -> _Stamps:
    text, form = pc.utf8_trim_whitespace(column), data.time_format
    if form is None:
        zoned = pc.fill_null(pc.match_substring_regex(text, _ZONED), False).to_numpy(zero_copy_only=False)
        parsed = pd.Series(pd.to_datetime(text.to_pandas(), format="ISO8601", utc=True, errors="coerce"))
        wanted = "hold ISO 8601 times such as 2014-01-31T13:00:00Z or 2014-01-31"
    else:
        zoned = np.full(len(text), "%z" in form)
        parsed = pd.Series(pd.to_datetime(text.to_pandas(), format=form, utc=True, errors="coerce"))
        wanted = f"hold times of the form {form} (data.time_format), such as {_EXAMPLE.strftime(form)}"
    bad = np.flatnonzero(parsed.isna().to_numpy())
    if len(bad):
        hint = "" if form else "; where all are of another form, name it by data.time_format"
        row = int(bad[0])
        raise RowFaultError(
            f"{source.name}: {_label(data)} must {wanted}; {source.row_name(row)} has {_written(source, data, row)!r}",
            len(bad),
            hint,
        )
    if zoned.any() and not zoned.all():
        raise mixed_zones(source, data, int(np.flatnonzero(~zoned)[0]), int((~zoned).sum()))
    return _Stamps(parsed.dt.tz_localize(None), bool(zoned.all()))


def _of_parts(source: SourceTable, data: DataConfig, parts: TimePartsConfig) -> _Stamps:
    if parts.date is not None and parts.time is not None:
        date, time = (_as_text(source, name) for name in (parts.date, parts.time))
        return _from_text(pc.binary_join_element_wise(date, time, " ", null_handling="replace"), source, data)
    days = _days(source, data, parts)
    hours = _whole(source, parts.hour, 0, 23) if parts.hour else 0
    minutes = _whole(source, parts.minute, 0, 59) if parts.minute else 0
    return _Stamps(_clock_times(days + hours * 3_600 + minutes * 60), is_zoned=False)


def _as_text(source: SourceTable, column: str) -> pa.Array:
    values = source.table[column].combine_chunks()
    return pc.utf8_trim_whitespace(
        pc.cast(values.dictionary_decode() if pa.types.is_dictionary(values.type) else values, pa.string())
    )


def _days(source: SourceTable, data: DataConfig, parts: TimePartsConfig) -> Ints:
    """Midnight of each row on its own clock, as epoch seconds `[rows]`."""
    if parts.date is None:
        return _calendar_days(source, data, parts)
    found = _of_column(source, data.model_copy(update={"time_column": parts.date, "time_parts": None}))
    seconds = _epoch_seconds(found.stamps)
    odd = np.flatnonzero((seconds % _DAY_S != 0) | found.is_zoned)
    if len(odd):
        row = int(odd[0])
        raise RowFaultError(
            f"{source.name}: column {parts.date!r} must hold dates alone, as the time of the day is of another column; "
            f"{source.row_name(row)} has {source.table[parts.date][row].as_py()!r}",
            len(odd),
        )
    return seconds


def _calendar_days(source: SourceTable, data: DataConfig, parts: TimePartsConfig) -> Ints:
    names = (parts.year or "", parts.month or "", parts.day or "")
    year, month, day = (_whole(source, name, *bounds) for name, bounds in zip(names, _BOUNDS, strict=True))
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    wrong = np.flatnonzero(days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) != months)
    if len(wrong):
        row = int(wrong[0])
        raise RowFaultError(
            f"{source.name}: {_label(data)} must be a day of the calendar; {source.row_name(row)} has {_written(source, data, row)!r}",
            len(wrong),
        )
    return days * _DAY_S


def _whole(source: SourceTable, column: str, low: int, high: int) -> Ints:
    """A column of whole numbers between two bounds `[rows]`."""
    numbers = parse_numbers(source, column)
    bad = np.flatnonzero(~((numbers >= low) & (numbers <= high) & (numbers == np.round(numbers))))
    if len(bad):
        row = int(bad[0])
        raise RowFaultError(
            f"{source.name}: column {column!r} must hold whole numbers from {low} to {high}, as data.time_parts names it; "
            f"{source.row_name(row)} has {source.table[column][row].as_py()!r}",
            len(bad),
        )
    return numbers.astype(np.int64)


def _localised(
    local: "pd.Series[pd.Timestamp]", source: SourceTable, data: DataConfig, series_codes: Ints, hours: RepeatedHours
) -> Ints:  # fmt: skip
    if data.time_zone is None:
        raise DataError(
            f"{source.name}: {_label(data)} has times without a zone, such as {local.iloc[0]}; "
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
            f"{source.name}: {_label(data)} has the time {local.iloc[row]} in {source.row_name(row)}, which the clock of "
            f"{data.time_zone} skips",
            len(bad),
            "; set data.time_zone to the zone in which the table was written",
        )
    return _epoch_seconds(stamps.dt.tz_convert("UTC"))


def _epoch_seconds(stamps: "pd.Series[pd.Timestamp]") -> Ints:
    return stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.int64)


def _clock_times(seconds: Ints) -> "pd.Series[pd.Timestamp]":
    return pd.Series(pd.DatetimeIndex(seconds.astype("datetime64[s]")))
