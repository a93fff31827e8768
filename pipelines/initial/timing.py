"""Guess how a table writes its times where no column holds them in ISO 8601, or where several columns together do."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.validation.sources import SourceTable
from components.validation.times import parse_times
from forecasting.config.source import TimePartsConfig
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from pipelines.initial.look import ColumnKind, ColumnLook, TableLook, TimingGuess, look_at_columns
from pipelines.initial.words import TIME_WORDS, has_word, names_issue, words_of

_DAY_S = 86_400
_SAMPLE_ROWS = 50
_MIN_FINER_RATIO = 1.5
"""How many times as many different times as dates there must be for an hour to be a part of the time."""
_MIN_CLEARER = 0.2
"""Share of filled steps by which one order of day and month must be better than the other."""
_DATE = re.compile(
    r"\s*(\d{1,4}[/. -]\d{1,2}[/. -]\d{2,4}|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, ?\d{4})\b"
)
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}([:.]\d{2}){1,2}(\s*[AaPp][Mm])?\s*$")
_NUMBERED_DATES = [
    sign.join(order)
    for sign, order in product(
        ("/", ".", "-", " "),
        (("%d", "%m", "%Y"), ("%m", "%d", "%Y"), ("%Y", "%m", "%d"), ("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d")),
    )
]  # fmt: skip
_NAMED_DATES = ["%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"]
_TIMES = ["", "%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%H.%M", "%H.%M.%S", "%H:%M:%S.%f"]
_ISO_DATE = "%Y-%m-%d"
_PART_WORDS = {
    "year": frozenset({"year", "yyyy", "jahr", "ano", "anio", "annee"}),
    "month": frozenset({"month", "mm", "mnth", "monat", "mes", "mois"}),
    "day": frozenset({"day", "dd", "tag", "dia", "jour"}),
    "hour": frozenset({"hour", "hr", "hh", "stunde", "hora", "heure"}),
    "minute": frozenset({"minute", "min", "mi", "minuto"}),
}
_BOUNDS = {"year": (1_800, 2_200), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}
_OF_DAY_WORDS = frozenset({"time", "hour", "hr", "uhrzeit", "zeit", "hora", "heure"})
_NAMES = ("timestamp", "time", "date_time", "timestamp_")

Texts = list[str]


@dataclass(frozen=True)
class _DateGuess:
    """A column of dates or times. form: none of ISO 8601 and of typed dates."""

    column: str
    form: str | None
    reason: str
    check: bool = False


def look_at_table(source: SourceTable, stated: Mapping[str, Any] | None = None) -> TableLook:
    """Look at the columns of a table, with its times as one column of times where they are written otherwise.

    Args:
        source: The table, read with all of its columns.
        stated: Settings of `data` that say how times are written; none: guess.

    Raises:
        ConfigError: A stated part of the time is no column.
        DataError: Times are not written as stated.
    """
    look = look_at_columns(source)
    timing = _stated_timing(look, dict(stated)) if stated else _guess_timing(look)
    if timing is None:
        return look
    stamps = pa.array(_seconds(source, timing.settings, timing.column).astype("datetime64[s]"))
    columns = {name: source.table[name] for name in source.table.column_names if name not in timing.used}
    order = [timing.column, *columns] if timing.column not in source.table.column_names else source.table.column_names
    made = {**columns, timing.column: stamps}
    table = pa.table({name: made[name] for name in order if name in made})
    return replace(look_at_columns(replace(source, table=table)), timing=timing)


def _stated_timing(look: TableLook, settings: dict[str, Any]) -> TimingGuess:
    """What was stated, with the column of times that it fits where it names none."""
    if "time_parts" in settings:
        used = TimePartsConfig.model_validate(settings["time_parts"]).columns
        if absent := [name for name in used if name not in look.source.table.column_names]:
            raise ConfigError(f"data.time_parts must name columns of {look.name}, found {absent[0]!r}; it has {', '.join(look.source.table.column_names)}")  # fmt: skip
        _seconds(look.source, settings, "")
        return TimingGuess(_new_name(look), settings, used, "")
    texts = [
        column.name
        for column in look.of_kind(ColumnKind.TEXT, ColumnKind.TIME, ColumnKind.NUMBER)
        if _texts(look, column.name)
    ]
    fits = [name for name in texts if _reads(look, settings, name) is not None]
    if not fits:
        named = min(
            texts,
            key=lambda name: (not _DATE.match(_texts(look, name)[0]), not has_word(name, TIME_WORDS)),
            default=None,
        )
        if named is not None:
            _seconds(look.source, settings, named)
        raise DataError(
            f"{look.name} must have a column of text with times of the form {settings['time_format']}, and it has none"
        )
    best = min(fits, key=lambda name: not has_word(name, TIME_WORDS))
    return TimingGuess(best, settings, (best,), "")


def _guess_timing(look: TableLook) -> TimingGuess | None:
    """How times are written; none where a column has them in ISO 8601 with the time of the day, or nothing is found."""
    found = [column for column in look.of_kind(ColumnKind.TIME) if not names_issue(column.name)]
    if found and not all(_is_midnight(look, column.name) for column in found):
        return None
    dates = [_DateGuess(column.name, None, "") for column in found] or _written_dates(look)
    for date in sorted(dates, key=lambda one: not has_word(one.column, TIME_WORDS)):
        if timing := _with_time_of_day(look, date) or _with_hour(look, date):
            return timing
    if not dates:
        return _year_month_day(look)
    best = min(dates, key=lambda one: not has_word(one.column, TIME_WORDS))
    if best.form is None:
        return None
    return TimingGuess(best.column, {"time_format": best.form}, (best.column,), best.reason, best.check)


def _seconds(source: SourceTable, settings: dict[str, Any], column: str) -> npt.NDArray[np.int64]:
    data = DataConfig.model_validate({"time_column": column, "time_zone": "UTC", **settings})
    return parse_times(source, data, np.arange(source.table.num_rows)).seconds


def _reads(look: TableLook, settings: dict[str, Any], column: str) -> npt.NDArray[np.int64] | None:
    try:
        return _seconds(look.source, settings, column)
    except DataError:
        return None


def _is_midnight(look: TableLook, column: str) -> bool:
    kind = look.source.table.schema.field(column).type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return False
    seconds = _reads(look, {}, column)
    return seconds is not None and not (seconds % _DAY_S).any()


def _texts(look: TableLook, column: str) -> Texts:
    """The different values of a column of text; none of another one."""
    values = look.source.table[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return []
    return [text.strip() for text in values.unique().to_pylist() if text is not None]


def _written_dates(look: TableLook) -> list[_DateGuess]:
    """Columns of text that are dates or times in one form."""
    found = []
    for column in look.of_kind(ColumnKind.TEXT):
        texts = _texts(look, column.name)
        if texts and all(_DATE.match(text) for text in texts[:_SAMPLE_ROWS]) and not names_issue(column.name):
            found += [guess for guess in [_form(look, column.name, texts)] if guess]
    return found


def _form(look: TableLook, column: str, texts: Texts) -> _DateGuess | None:
    """The form in which all values of a column can be read; of several the one with which times are most regular."""
    fits = [form for form in _forms() if _fit(texts[:_SAMPLE_ROWS], form) and _fit(texts, form)]
    return _chosen(look, column, {form: {"time_format": form} for form in fits})


def _forms() -> Iterator[str]:
    for date, time in product([*_NUMBERED_DATES, *_NAMED_DATES], _TIMES):
        yield f"{date} {time}".strip()


def _fit(texts: Texts, form: str) -> bool:
    return bool(pd.to_datetime(pd.Series(texts), format=form, errors="coerce").notna().all())


def _chosen(look: TableLook, column: str, settings: dict[str, dict[str, Any]]) -> _DateGuess | None:
    """Of the forms that fit, the one that leaves fewest gaps; `settings` by form."""
    scores = {}
    for form, each in settings.items():
        seconds = _reads(look, each, column)
        if seconds is not None:
            scores[form] = _regularity(seconds)
    if not scores:
        return None
    # The first of equals is the first of the list: the day comes first.
    best = max(scores, key=lambda form: scores[form])
    others = [score for form, score in scores.items() if form != best]
    is_told = best.startswith(("%d", "%m")) and "%b" not in best and "%B" not in best
    said = "day and month are told by a value over 12" if is_told else "the only form that fits"
    if not others:
        return _DateGuess(column, best, f"times are written as {best}; {said}")
    if scores[best] - max(others) >= _MIN_CLEARER:
        return _DateGuess(column, best, f"times are written as {best}; another order of day and month would leave gaps")
    others_said = ", ".join(form for form in scores if form != best)
    return _DateGuess(
        column, best, f"times may be written as {best}, and as {others_said} too: no value tells", check=True
    )


def _regularity(seconds: npt.NDArray[np.int64]) -> float:
    """Share of the steps between the first and the last time that are there."""
    times = np.unique(seconds)
    if len(times) < 2:
        return 0.0
    lengths, counts = np.unique(np.diff(times), return_counts=True)
    return min(1.0, len(times) / ((times[-1] - times[0]) / float(lengths[np.argmax(counts)]) + 1))


def _part(look: TableLook, key: str) -> ColumnLook | None:
    """The column of a part of the time, by its name and the bounds of its numbers."""
    low, high = _BOUNDS[key]
    found = [
        column
        for column in look.of_kind(ColumnKind.NUMBER, ColumnKind.FLAG)
        if column.numbers is not None
        and "".join(words_of(column.name)) in _PART_WORDS[key]
        and column.is_whole
        and not (column.codes < 0).any()
        and low <= column.numbers.min()
        and column.numbers.max() <= high
    ]
    return found[0] if len(found) == 1 else None


def _with_hour(look: TableLook, date: _DateGuess) -> TimingGuess | None:
    """A date with an hour, and a minute perhaps, of other columns, if they make the times finer."""
    hour, minute = _part(look, "hour"), _part(look, "minute")
    if hour is None:
        return None
    parts = {"date": date.column, "hour": hour.name} | ({"minute": minute.name} if minute else {})
    return _of_parts(look, parts, date)


def _with_time_of_day(look: TableLook, date: _DateGuess) -> TimingGuess | None:
    """A date with the time of the day as text of another column."""
    for column in look.of_kind(ColumnKind.TEXT, ColumnKind.TIME):
        texts = _texts(look, column.name)
        if not texts or not has_word(column.name, _OF_DAY_WORDS) or not all(_TIME_OF_DAY.match(text) for text in texts):
            continue
        parts = {"date": date.column, "time": column.name}
        joined = _of_parts(look, parts, replace(date, form=None)) if date.form is None else None
        forms = (f"{date.form or _ISO_DATE} {time}" for time in _TIMES if time)
        for form in () if joined else forms:
            joined = joined or _of_parts(look, parts, replace(date, form=form))
        if joined:
            return joined
    return None


def _of_parts(look: TableLook, parts: dict[str, str], date: _DateGuess) -> TimingGuess | None:
    settings: dict[str, Any] = {"time_parts": parts} | ({"time_format": date.form} if date.form else {})
    seconds = _reads(look, settings, date.column)
    if seconds is None or len(np.unique(seconds)) < _MIN_FINER_RATIO * len(np.unique(seconds // _DAY_S)):
        return None
    used = TimePartsConfig.model_validate(parts).columns
    reason = f"{len(np.unique(seconds)):,} different times of {len(used)} columns together" + (
        f"; {date.reason}" if date.reason else ""
    )
    return TimingGuess(_new_name(look), settings, used, reason, date.check)


def _year_month_day(look: TableLook) -> TimingGuess | None:
    found = {key: column.name for key in _PART_WORDS if (column := _part(look, key))}
    if not {"year", "month", "day"} <= set(found):
        return None
    if "hour" not in found:
        found.pop("minute", None)
    settings: dict[str, Any] = {"time_parts": found}
    seconds = _reads(look, settings, "")
    if seconds is None:
        return None
    reason = f"{len(np.unique(seconds)):,} different times of {len(found)} columns together"
    return TimingGuess(_new_name(look), settings, tuple(found.values()), reason)


def _new_name(look: TableLook) -> str:
    names = {column.name for column in look.columns}
    return next((name for name in _NAMES if name not in names), "_".join(sorted(names)))
