"""Errors and bodies of the gateway's HTTP interface."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from forecasting.errors import AlmanacError

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
READY = "ready"
"""What /readyz says where the champion answers; "degraded: …" where the fallback does."""


class AnswerError(AlmanacError):
    """A request ends with an HTTP status other than 200; the message is for the client."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    code: int
    body: bytes
    content_type: str = JSON


def as_json(document: Any, code: int = 200) -> Answer:
    """A JSON response."""
    return Answer(code, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def iso_time(seconds: int) -> str:
    """Epoch seconds as ISO 8601 in UTC."""
    return str(np.datetime_as_string(np.datetime64(seconds, "s"), timezone="UTC"))


def as_error(error: AnswerError) -> Answer:
    """`{"error": …}`."""
    return as_json({"error": str(error)}, error.code)
