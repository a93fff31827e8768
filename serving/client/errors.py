"""What a gateway answers other than a forecast.

Of a passing condition (too many requests, not ready, no time left) the error is `RetryableError`; of a wrong answer
`RemoteError`.
"""

import json
from typing import Any

from forecasting.errors import AlmanacError, ConfigError, RemoteError, RetryableError

PASSING = frozenset({429, 503, 504})
"""Statuses after which the same request may succeed."""


class GatewayRefusalError(ConfigError):
    """The request must be changed.

    status: of HTTP. series, column, place: what it is about, as far as that is known. request_id: for the gateway's log.
    """

    def __init__(self, message: str, status: int, document: dict[str, Any]) -> None:
        """Keep what the gateway says beside the message."""
        super().__init__(message)
        self.status = status
        self.series, self.column, self.place, self.request_id = (
            document.get(key) for key in ("series", "column", "place", "request_id")
        )


class GatewayUnreachableError(RemoteError):
    """Nothing answers at the endpoint."""


def refusal(endpoint: str, status: int, body: bytes) -> AlmanacError:
    """The error for an answer other than 200."""
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    document = document if isinstance(document, dict) else {}
    message = document.get("error") or body[:500].decode("utf-8", "replace").strip() or "nothing"
    line = f"{endpoint} answers {status}: {message}"
    if status in PASSING:
        return RetryableError(line)
    return GatewayRefusalError(line, status, document) if 400 <= status < 500 else RemoteError(line)
