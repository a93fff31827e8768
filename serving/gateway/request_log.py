"""The gateway's log: one JSON object a line, with numbers and ids and never a payload."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

ACCESS = "serving.gateway.access"
"""Logger that the line of a request names."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, and an exception where there is one."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(found, default=str).decode()


def log_as_json() -> None:
    """Send every logger's records to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log_request(request_id: str, *, route: str, method: str, status: int, client: str, seconds: float, n_bytes: tuple[int, int]) -> None:  # fmt: skip
    """One line of a request that was answered; n_bytes of its body and of the answer's.

    Written without a record of the logging library, which alone would take a tenth of what the gateway adds to a request.
    """
    fields = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": "info", "logger": ACCESS, "message": "answered",
        "request_id": request_id, "method": method, "route": route, "status": status, "client": client,
        "ms": round(1000 * seconds, 3), "bytes_in": n_bytes[0], "bytes_out": n_bytes[1],
    }  # fmt: skip
    sys.stderr.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE).decode())
