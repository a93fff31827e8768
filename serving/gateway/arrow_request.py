"""A request whose body is an Arrow table: what is not in the table is in the query."""

from typing import Any

from starlette.datastructures import QueryParams

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.request import ForecastRequest
from serving.gateway.arrow_bodies import read_rows
from serving.gateway.forecast_request import parse_moment
from serving.gateway.routing import parse_pin

_KEYS = ("origin", "cutoff", "quantile", "fallback", "model")
_TEXT = {"type": "string"}
QUERY_PARAMETERS: list[dict[str, Any]] = [
    {"name": "origin", "in": "query", "schema": _TEXT, "description": "With an Arrow body, as `origin` in JSON."},
    {"name": "cutoff", "in": "query", "schema": _TEXT, "description": "With an Arrow body, as `cutoff` in JSON."},
    {
        "name": "quantile",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "number"}},
        "description": "With an Arrow body, a level to give; may be repeated.",
    },
    {
        "name": "fallback",
        "in": "query",
        "schema": {"type": "boolean"},
        "description": "With an Arrow body, as in JSON.",
    },
    {"name": "model", "in": "query", "schema": _TEXT, "description": "With an Arrow body, as `model` in JSON."},
]


def parse_arrow_request(body: bytes, query: QueryParams) -> ForecastRequest:
    """Read a body and the query beside it.

    Raises:
        AnswerError: 400, saying what is wrong and where.
    """
    for key in query:
        if key not in _KEYS:
            raise AnswerError(400, f"unknown key {key!r} in the query; known are {', '.join(_KEYS)}")
    if "origin" in query and "cutoff" in query:
        raise AnswerError(400, "'origin' and 'cutoff' must not both be given")
    fallback = query.get("fallback", "true")
    if fallback not in ("true", "false"):
        raise AnswerError(400, f"'fallback' must be true or false, found {fallback!r}")
    ids, given = read_rows(body)
    return ForecastRequest(
        series=ids,
        origin=parse_moment(query["origin"], "'origin'") if "origin" in query else None,
        cutoff=parse_moment(query["cutoff"], "'cutoff'") if "cutoff" in query else None,
        quantiles=tuple(_level(text) for text in query.getlist("quantile")) or None,
        fallback=fallback == "true",
        given=given,
        model=parse_pin(query.get("model")),
    )


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError as error:
        raise AnswerError(400, f"'quantile' must be a level between 0 and 1, found {text!r}") from error
    if not 0 < level < 1:
        raise AnswerError(400, f"'quantile' must be a level between 0 and 1, found {text!r}")
    return level
