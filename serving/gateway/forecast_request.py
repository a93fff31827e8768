"""Parse and check the body of `POST /v1/forecast`.

    {"series": [id, …] | null, "origin": time | null, "quantiles": [level, …] | null,
     "known": {id: {column: [one value a step of the horizon, from the origin on] | {time: value, …}}} | null,
     "fallback": true | false | null}

`known` gives known covariates of the horizon; they go before those of the series store, step by step where they are
given by time; times outside of the horizon are left alone. Without an
origin, a series that has an entry there is forecast from the step after its last target. With `fallback` false the
answer is the model's or an error, never the seasonal naive forecast that stands in for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from serving.gateway.answers import AnswerError

_KEYS = ("series", "origin", "quantiles", "known", "fallback")
_FLOAT32_MAX = 3.4e38

KnownColumn = tuple[float, ...] | Mapping[int, float]
"""One value a step of the horizon, or values by time, epoch seconds."""
KnownValues = Mapping[str, KnownColumn]
"""By column."""


@dataclass(frozen=True)
class ForecastRequest:
    """What is asked for.

    series: ids, none for all. origin: first forecast step in epoch seconds, none for the latest.
    quantiles: levels, none for all that the model has. known: values by column, by series.
    fallback: whether the fallback may answer.
    """

    series: tuple[str, ...] | None = None
    origin: int | None = None
    quantiles: tuple[float, ...] | None = None
    known: Mapping[str, KnownValues] = field(default_factory=dict)
    fallback: bool = True


def parse_forecast_request(body: bytes) -> ForecastRequest:
    """Read a body.

    Raises:
        AnswerError: 400, saying what is wrong and where.
    """
    try:
        # orjson bounds the depth itself, so deep nesting is a parse error and no crash.
        document: Any = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise AnswerError(400, f"the body must be JSON: {error}") from error
    if not isinstance(document, dict):
        raise AnswerError(400, f"the body must be a JSON object, found {type(document).__name__}")
    for key in document:
        if key not in _KEYS:
            raise AnswerError(400, f"unknown key {key!r}; known are {', '.join(_KEYS)}")
    return ForecastRequest(
        _series(document.get("series")),
        _origin(document.get("origin")),
        _quantiles(document.get("quantiles")),
        _known(document.get("known")),
        _fallback(document.get("fallback")),
    )


def _series(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise AnswerError(400, "'series' must be a list of at least one id, or null for all series")
    if len(set(value)) != len(value):
        raise AnswerError(400, "'series' must not name an id twice")
    return tuple(value)


def _origin(value: Any) -> int | None:
    return None if value is None else _moment(value, "'origin'")


def _moment(value: Any, what: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise AnswerError(
            400, f"{what} must be an ISO 8601 time such as 2026-01-31T00:00:00Z, found {value!r}"
        ) from error
    if moment.tzinfo is None:
        raise AnswerError(400, f"{what} must carry a time zone (Z for UTC), found {value!r}")
    seconds = moment.astimezone(UTC).timestamp()
    if seconds != int(seconds):
        raise AnswerError(400, f"{what} must be a whole second, found {value!r}")
    return int(seconds)


def _quantiles(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    valid = isinstance(value, list) and value and all(isinstance(item, float) and 0 < item < 1 for item in value)
    if not valid:
        raise AnswerError(400, "'quantiles' must be a list of levels between 0 and 1, or null for all")
    return tuple(value)


def _known(value: Any) -> dict[str, KnownValues]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(columns, dict) for columns in value.values()):
        raise AnswerError(400, "'known' must be an object of series, each an object of columns with a list of values")
    return {
        series_id: {name: _known_column(column, f"'known' of series {series_id!r}, column {name!r},") for name, column in columns.items()}
        for series_id, columns in value.items()
    }  # fmt: skip


def _known_column(value: Any, what: str) -> KnownColumn:
    numbers = value.values() if isinstance(value, dict) else value
    if not isinstance(value, list | dict) or not all(_is_number(item) for item in numbers):
        raise AnswerError(400, f"{what} must be a list of numbers, or numbers by time")
    if isinstance(value, list):
        return tuple(float(item) for item in value)
    by_time = {_moment(time, f"a time of {what.rstrip(',')}"): float(item) for time, item in value.items()}
    if len(by_time) != len(value):
        raise AnswerError(400, f"{what} must name each time once, found one in two zones")
    return by_time


def _fallback(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise AnswerError(400, f"'fallback' must be true, false or null, found {value!r}")
    return value is not False


def _is_number(item: Any) -> bool:
    """A number that the model's float32 can hold; JSON has no others than finite ones."""
    return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) <= _FLOAT32_MAX
