"""Paths of TensorFlow Serving's REST interface (model_servers/http_rest_api_util.cc)."""

import re
import urllib.parse
from dataclasses import dataclass
from functools import lru_cache

from serving.model_server.status import RequestError, invalid

_VERSION = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_PREDICT = re.compile(r"/v1/models/([^/:]+)" + _VERSION + r":(classify|regress|predict)", re.IGNORECASE)
_READ = re.compile(r"/v1/models(?:/([^/:]+))?" + _VERSION + r"(?:/(metadata))?", re.IGNORECASE)
_ALL = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_INT64_END = 2**63
_KEPT_LENGTH, _KEPT_ROUTES = 300, 512

CLASSIFY, REGRESS, PREDICT, METADATA, STATUS = "classify", "regress", "predict", "metadata", "status"


@dataclass(frozen=True)
class RestRoute:
    """What a path asks for."""

    action: str
    model: str
    version: int | None = None
    label: str | None = None


def is_served(path: str) -> bool:
    """Whether a path belongs to the interface at all."""
    return _ALL.fullmatch(path) is not None


def route_of(method: str, path: str) -> RestRoute:
    """Read a method and a path as `_route_of` does; the same short paths come again and again.

    Raises:
        RequestError: See `_route_of`.
    """
    return _kept_route(method, path) if len(path) <= _KEPT_LENGTH else _route_of(method, path)


def _route_of(method: str, path: str) -> RestRoute:
    """Read a method and a path with its query string, both as sent.

    Raises:
        RequestError: INVALID_ARGUMENT: it is none of the interface's.
    """
    if method == "POST" and (match := _PREDICT.fullmatch(path)):
        name, version, label, action = match.groups()
        # The path matches in any case, the verb is then compared as it is written.
        if action not in (CLASSIFY, REGRESS, PREDICT):
            raise malformed(method, path)
        return RestRoute(action, _decoded(name), _number(version), _decoded(label) if label else None)
    if method == "GET" and (match := _READ.fullmatch(path)):
        name, version, label, part = match.groups()
        action = METADATA if part == METADATA else STATUS
        if not name:
            raise invalid("Missing model name in request.")
        return RestRoute(action, _decoded(name), _number(version), _decoded(label) if label else None)
    raise malformed(method, path)


_kept_route = lru_cache(maxsize=_KEPT_ROUTES)(_route_of)


def malformed(method: str, path: str) -> RequestError:
    """The error of a path that nothing matches."""
    return invalid(f"Malformed request: {method} {path}")


def _decoded(text: str) -> str:
    # Names are valid UTF-8 in messages and metrics; what is none can name nothing, and is told as not found.
    return urllib.parse.unquote(text, errors="replace")


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if int(text) >= _INT64_END:
        raise invalid(f"Failed to convert version: {text} to numeric.")
    return int(text)
