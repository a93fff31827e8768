"""Responses of the gateway's HTTP interface, errors among them."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from forecasting.answering.answer_error import AnswerError

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
READY = "ready"
"""What /readyz says where the champion answers from all that is known; "degraded: …" where the fallback does, or the store is away."""


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    code: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def as_json(document: Any, code: int = 200) -> Answer:
    """A JSON response."""
    return Answer(code, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def as_error(error: AnswerError, request_id: str) -> Answer:
    """The one form of every error: `error`, `status`, `request_id`, and what it is about where that is known."""
    about = {"series": error.series, "column": error.column, "place": error.place}
    document = {"error": str(error), "status": error.code, "request_id": request_id}
    document |= {name: value for name, value in about.items() if value is not None}
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    if error.code == 401:
        headers["www-authenticate"] = "Bearer"
    return Answer(error.code, orjson.dumps(document), headers=headers)
