"""Parse and check the body of `POST /v1/forecast`.

    {"series": [id, …] | null, "origin": time | null, "cutoff": time | null, "quantiles": [level, …] | null,
     "history": {id: {"start": time, "values": {column: [number | null, …]}} | {"timestamps": [time, …], "values": …}},
     "static": {id: {column: category}},
     "known": {id: {column: [one value a step of the horizon, from the origin on] | {time: value, …}}} | null,
     "fallback": true | false | null, "model": "champion" | "candidate" | version | null}

`history` gives values of past steps; they go before those of the series store, step by step, and null leaves what is
stored. A series that the store does not have can be forecast from its history alone. `known` gives known covariates of
the horizon; they go before those of the store, step by step where they are given by time; times outside of the horizon
are left alone. Without an origin, a series that has an entry in either is forecast from the step after its last target.
`cutoff` is an origin for series on different grids: the first step at or after it. With `fallback` false the answer is
the model's or an error, never the seasonal naive forecast that stands in for it. `model` pins who answers.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import FLOAT32_MAX, Floats, GivenRows, SeriesRowsSpec, joined_rows
from forecasting.answering.request import ForecastRequest, KnownColumn, KnownValues
from serving.gateway.routing import parse_pin

_KEYS = ("series", "origin", "cutoff", "quantiles", "history", "static", "known", "fallback", "model")
_NUMBERS = frozenset({int, float, type(None)})
MAX_JSON_VALUES = 5_000_000
"""Values of one body of JSON: each becomes an object of Python, several times as large as its text."""


def parse_forecast_request(body: bytes) -> ForecastRequest:
    """Read a body.

    Raises:
        AnswerError: 400, saying what is wrong and where; 413 for too many values.
    """
    document = parse_object(body, _KEYS)
    return ForecastRequest(
        series=parse_series(document.get("series")),
        origin=_time_of(document, "origin"),
        cutoff=_time_of(document, "cutoff"),
        quantiles=parse_quantiles(document.get("quantiles")),
        known=_known(document.get("known")),
        fallback=_fallback(document.get("fallback")),
        given=parse_history(document.get("history"), document.get("static")),
        model=parse_pin(document.get("model")),
    )


def parse_object(body: bytes, keys: Collection[str] | None = None) -> dict[str, Any]:
    """A body that is a JSON object; an empty one has no keys.

    Args:
        body: As it was sent.
        keys: Those that it may have; none: any.

    Raises:
        AnswerError: 400: it is none, or has another key. 413: it has more than `MAX_JSON_VALUES`.
    """
    # Asked before anything is parsed: afterwards the memory is taken. Between two values there is always a comma.
    if body.count(b",") >= MAX_JSON_VALUES:
        text = f"a body of JSON must have at most {MAX_JSON_VALUES} values; send several requests, or an Arrow table"
        raise AnswerError(413, text)
    try:
        # orjson bounds the depth itself, so deep nesting is a parse error and no crash.
        document: Any = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise AnswerError(400, f"the body must be JSON: {error}") from error
    if not isinstance(document, dict):
        raise AnswerError(400, f"the body must be a JSON object, found {type(document).__name__}")
    if keys is not None and (unknown := next((key for key in document if key not in keys), None)) is not None:
        raise AnswerError(400, f"unknown key {unknown!r}; known are {', '.join(keys)}")
    return document


def parse_moment(value: Any, what: str) -> int:
    """Epoch seconds of an ISO 8601 time.

    Raises:
        AnswerError: 400: it is none, has no zone, or is no whole second.
    """
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise AnswerError(
            400, f"{what} must be an ISO 8601 time such as 2026-01-31T00:00:00Z, found {value!r}"
        ) from error
    if moment.tzinfo is None:
        raise AnswerError(400, f"{what} must carry a time zone (Z for UTC), found {value!r}")
    try:
        seconds = moment.astimezone(UTC).timestamp()
    except OverflowError as error:
        raise AnswerError(400, f"{what} must lie in the years 1 to 9999 of UTC, found {value!r}") from error
    if seconds != int(seconds):
        raise AnswerError(400, f"{what} must be a whole second, found {value!r}")
    return int(seconds)


def parse_quantiles(value: Any) -> tuple[float, ...] | None:
    """Levels that are asked for; none for all.

    Raises:
        AnswerError: 400: something is no level.
    """
    if value is None:
        return None
    valid = isinstance(value, list) and value and all(isinstance(item, float) and 0 < item < 1 for item in value)
    if not valid:
        raise AnswerError(400, "'quantiles' must be a list of levels between 0 and 1, or null for all")
    return tuple(value)


def history_numbers(value: Any, where: str, *, series: str, column: str) -> Floats:
    """Numbers of a list `[n]`, NaN where it has null.

    Raises:
        AnswerError: 400: it is no list of numbers.
    """
    # One pass without a Python step a value: a request may have millions.
    if not isinstance(value, list) or not _NUMBERS.issuperset(map(type, value)):
        place = next((str(i) for i, item in enumerate(value) if type(item) not in _NUMBERS), None) if isinstance(value, list) else None  # fmt: skip
        found = "" if place is None else f", found {value[int(place)]!r} at place {place}"
        text = f"{where} must be a list of numbers, null where nothing is given{found}"
        raise AnswerError(400, text, series=series, column=column, place=place)
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError as error:
        text = f"{where} must be a list of numbers that the model can hold: {error}"
        raise AnswerError(400, text, series=series, column=column) from error


def parse_series(value: Any) -> tuple[str, ...] | None:
    """Ids that are asked for; none for all.

    Raises:
        AnswerError: 400: they are no list of ids, or one comes twice.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise AnswerError(400, "'series' must be a list of at least one id, or null for all series")
    if len(set(value)) != len(value):
        raise AnswerError(400, "'series' must not name an id twice")
    return tuple(value)


def _time_of(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and key == "cutoff" and document.get("origin") is not None:
        raise AnswerError(400, "'origin' and 'cutoff' must not both be given")
    return None if value is None else parse_moment(value, f"{key!r}")


def parse_history(value: Any, static: Any, *, key: str = "history") -> GivenRows | None:
    """Rows of series; none where there is nothing.

    Args:
        value: What stands under the key.
        static: What stands under `static`.
        key: For the messages.

    Raises:
        AnswerError: 400, naming series and column.
    """
    found_static = _static(static)
    if value is None:
        if found_static:
            raise AnswerError(400, "'static' is for new series, which need an entry in 'history' too")
        return None
    if not isinstance(value, dict) or not value or not all(isinstance(entry, dict) for entry in value.values()):
        raise AnswerError(400, f"{key!r} must be an object of at least one series, each with 'values' and 'start' or 'timestamps'")  # fmt: skip
    for series_id in found_static:
        if series_id not in value:
            raise AnswerError(400, f"'static' names series {series_id!r}, which 'history' does not", series=series_id)
    parts = {series_id: _history_entry(series_id, entry, key) for series_id, entry in value.items()}
    return joined_rows(parts, found_static)


def _history_entry(series_id: str, entry: Mapping[str, Any], key: str) -> SeriesRowsSpec:
    what = f"{key!r} of series {series_id!r}"
    entry = {name: value for name, value in entry.items() if value is not None}
    values = entry.get("values")
    if set(entry) not in ({"start", "values"}, {"timestamps", "values"}) or not isinstance(values, dict) or not values:
        text = f"{what} must have 'values', an object of columns, and either 'start' or 'timestamps', found {sorted(entry)}"
        raise AnswerError(400, text, series=series_id)
    columns = {
        name: history_numbers(column, f"{what}, column {name!r},", series=series_id, column=name)
        for name, column in values.items()
    }
    first, n_rows = next((name, len(column)) for name, column in columns.items())
    stamps = entry.get("timestamps")
    if stamps is not None:
        if not isinstance(stamps, list):
            raise AnswerError(400, f"{what}: 'timestamps' must be a list of times", series=series_id)
        first, n_rows = "timestamps", len(stamps)
    for name, column in columns.items():
        if len(column) != n_rows or not n_rows:
            text = f"{what}, column {name!r}, must have at least one value and as many as {first!r}, {n_rows}, found {len(column)}"
            raise AnswerError(400, text, series=series_id, column=name)
    if stamps is None:
        start = parse_moment(entry["start"], f"'start' in {what}")
        return SeriesRowsSpec(np.full(n_rows, start), np.arange(n_rows), columns)
    times = np.array([parse_moment(stamp, f"'timestamps' in {what}") for stamp in stamps], dtype=np.int64)
    return SeriesRowsSpec(times, np.zeros(n_rows, dtype=np.int64), columns)


def _static(value: Any) -> dict[str, dict[str, str]]:
    if value is None:
        return {}
    columns = value.values() if isinstance(value, dict) else [None]
    if not all(isinstance(one, dict) and all(isinstance(item, str) for item in one.values()) for one in columns):
        raise AnswerError(400, "'static' must be an object of series, each an object of columns with a category")
    return dict(value)


def _known(value: Any) -> dict[str, KnownValues]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(columns, dict) for columns in value.values()):
        raise AnswerError(400, "'known' must be an object of series, each an object of columns with a list of values")
    return {
        series_id: {name: _known_column(column, series_id, name) for name, column in columns.items()}
        for series_id, columns in value.items()
    }


def _known_column(value: Any, series_id: str, name: str) -> KnownColumn:
    what = f"'known' of series {series_id!r}, column {name!r},"
    numbers = value.values() if isinstance(value, dict) else value
    if not isinstance(value, list | dict) or not all(_is_number(item) for item in numbers):
        text = f"{what} must be a list of numbers, or numbers by time"
        raise AnswerError(400, text, series=series_id, column=name, place=_first_odd(value))
    if isinstance(value, list):
        return tuple(float(item) for item in value)
    by_time = {parse_moment(time, f"a time of {what.rstrip(',')}"): float(item) for time, item in value.items()}
    if len(by_time) != len(value):
        raise AnswerError(
            400, f"{what} must name each time once, found one in two zones", series=series_id, column=name
        )
    return by_time


def _first_odd(value: Any) -> str | None:
    """Where in a list or an object the first thing is that is no number."""
    if not isinstance(value, list | dict):
        return None
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return next((str(place) for place, item in entries if not _is_number(item)), None)


def _fallback(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise AnswerError(400, f"'fallback' must be true, false or null, found {value!r}")
    return value is not False


def _is_number(item: Any) -> bool:
    """A number that the model's float32 can hold; JSON has no others than finite ones."""
    return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) <= FLOAT32_MAX
