"""Errors and bodies of the gateway's HTTP interface."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from forecasting.errors import AlmanacError

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
READY = "ready"
"""What /readyz says where the champion answers; "degraded: …" where the fallback does."""


MAX_TEXT = 2_000
"""Characters of an error's text."""


class AnswerError(AlmanacError):
    """A request ends with an HTTP status other than 200; the message is for the client."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        series: str | None = None,
        column: str | None = None,
        place: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Keep the status beside the message.

        Args:
            code: HTTP status.
            message: For the client.
            series: Series that the message is about.
            column: Column that it is about.
            place: Where in that column: a time, or the number of a row.
            retry_after_s: When the same request may be sent again.
        """
        # What was found is quoted, and may be as long as the body that it was found in.
        super().__init__(message if len(message) <= MAX_TEXT else f"{message[:MAX_TEXT]} …")
        self.code = code
        self.series, self.column, self.place, self.retry_after_s = series, column, place, retry_after_s


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


def iso_time(seconds: int) -> str:
    """Epoch seconds as ISO 8601 in UTC."""
    return str(np.datetime_as_string(np.datetime64(seconds, "s"), timezone="UTC"))


def as_error(error: AnswerError, request_id: str) -> Answer:
    """The one form of every error: `error`, `status`, `request_id`, and what it is about where that is known."""
    about = {"series": error.series, "column": error.column, "place": error.place}
    document = {"error": str(error), "status": error.code, "request_id": request_id}
    document |= {name: value for name, value in about.items() if value is not None}
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    if error.code == 401:
        headers["www-authenticate"] = "Bearer"
    return Answer(error.code, orjson.dumps(document), headers=headers)
