"""Periods whose target does not count: from `data.exclude_ranges` and from a table of events.

The target of these steps is hidden, so that neither the loss nor a metric counts it; what was
published later, such as covariates, stays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.validation.parsing import text_column
from components.validation.report import CheckRecord, Severity, iso_time
from components.validation.sources import check_columns, find_source
from components.validation.sources.table import collect
from components.validation.times import parse_times
from forecasting.config.source import EventsConfig
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError, DataError
from forecasting.localities import time_zone
from forecasting.schema import SeriesStore


@dataclass(frozen=True)
class ExclusionRecord:
    """Steps from `start` up to but without `end` (UTC epoch seconds), of one series or of all."""

    start: int
    end: int
    series: str | None
    reason: str


def find_exclusions(data: DataConfig, home: HomeLayout) -> tuple[ExclusionRecord, ...]:
    """All periods that the configuration and its table of events name.

    Raises:
        ConfigError: A time cannot be read, has no zone, or is not before the end.
        DataError: The table of events cannot be read.
    """
    named = []
    for i, found in enumerate(data.exclude_ranges):
        key = f"data.exclude_ranges[{i}]"
        start, end = (_moment(text, data, key) for text in (found.start, found.end))
        if start >= end:
            raise ConfigError(f"{key}: start must be before end; found {found.start} and {found.end}")
        named.append(ExclusionRecord(start, end, found.series, found.reason or "data.exclude_ranges"))
    return (*named, *(_events(data.events, data, home) if data.events else ()))


def excluded_steps(
    exclusions: tuple[ExclusionRecord, ...], series: str, *, start: int, n_steps: int, step_s: int
) -> npt.NDArray[np.bool_]:
    """Which steps of a series overlap a period, `[T]`."""
    hidden = np.zeros(n_steps, dtype=np.bool_)
    for one in exclusions:
        if one.series in (None, series):
            hidden[_span(one, start=start, n_steps=n_steps, step_s=step_s)] = True
    return hidden


def count_hidden(store: SeriesStore, exclusions: tuple[ExclusionRecord, ...]) -> tuple[int, ...]:
    """How many steps before the cutoff each period hides."""
    spec = store.spec
    counts = []
    for one in exclusions:
        spans = [
            _span(one, start=series.start, n_steps=min(series.n_steps, (spec.split.cutoff - series.start) // spec.step_s),
                  step_s=spec.step_s)
            for series in store if one.series in (None, series.id)
        ]  # fmt: skip
        counts.append(sum(max(0, span.stop - span.start) for span in spans))
    return tuple(counts)


def check_exclusions(exclusions: tuple[ExclusionRecord, ...], n_hidden: tuple[int, ...]) -> CheckRecord:
    """How many targets each period hides; a period that hides none is worth a look.

    Args:
        exclusions: The periods.
        n_hidden: Targets that each of them hides.
    """
    total = sum(n_hidden)
    said = [
        f"{n:,} from {iso_time(one.start)} to {iso_time(one.end)} of {one.series or 'every series'} ({one.reason})"
        for one, n in zip(exclusions, n_hidden, strict=True)
    ]
    message = f"targets that do not count: {'; '.join(said[:5])}{'; …' if len(said) > 5 else ''}" if said else "none"
    empty = [one for one, n in zip(exclusions, n_hidden, strict=True) if not n]
    if empty:
        message += f"; {len(empty)} period(s) hide no target, the first is {iso_time(empty[0].start)} of {empty[0].series or 'every series'}"
    return CheckRecord("excluded", not empty, Severity.WARN, total, None, message)


def _span(one: ExclusionRecord, *, start: int, n_steps: int, step_s: int) -> slice:
    """Steps of a series that overlap a period."""
    first, end = (one.start - start) // step_s, -((start - one.end) // step_s)
    return slice(min(max(first, 0), n_steps), min(max(end, 0), n_steps))


def _events(events: EventsConfig, data: DataConfig, home: HomeLayout) -> tuple[ExclusionRecord, ...]:
    own = data.model_copy(
        update={
            "uri": events.uri,
            "query": events.query,
            "table": None,
            "id_columns": (),
            "static": (),
            "time_format": None,
            "time_parts": None,
        }
    )
    source = find_source(own.model_copy(update={"time_column": events.start_column}), home)
    optional = tuple(name for name in (events.series_column, events.kind_column) if name is not None)
    wanted = tuple(dict.fromkeys((events.start_column, events.end_column, *optional)))
    check_columns(source, wanted)
    table = collect(source, wanted)
    if not table.table.num_rows:
        return ()
    # Each event on a clock of its own: two that begin at once are no repeated hour.
    clocks = np.arange(table.table.num_rows)
    start, end = (
        parse_times(table, own.model_copy(update={"time_column": name}), clocks).seconds
        for name in (events.start_column, events.end_column)
    )
    series, kinds = (
        [None if name is None else value for value in text_column(table, name or wanted[0]).fillna("").tolist()]
        for name in (events.series_column, events.kind_column)
    )
    records = []
    for row, (first, last, one, kind) in enumerate(zip(start, end, series, kinds, strict=True)):
        if events.kinds and kind not in events.kinds:
            continue
        if first >= last:
            raise DataError(f"{table.name}: {events.start_column} must be before {events.end_column}; {table.row_name(row)} has {iso_time(first)} and {iso_time(last)}")  # fmt: skip
        records.append(ExclusionRecord(int(first), int(last), one or None, kind or "data.events"))
    return tuple(records)


def _moment(text: str, data: DataConfig, key: str) -> int:
    try:
        stamp = pd.Timestamp(text)
    except ValueError as error:
        raise ConfigError(f"{key} must have times in ISO 8601, such as 2014-01-31T13:00:00Z; found {text!r}") from error
    if stamp.tzinfo is None:
        if data.time_zone is None:
            raise ConfigError(f"{key} has the time {text!r} without a zone; write it with one, or set data.time_zone")
        stamp = stamp.tz_localize(time_zone(data.time_zone), ambiguous=True, nonexistent="shift_forward")
    return int(stamp.timestamp())
