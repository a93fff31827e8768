"""Status codes as gRPC and TensorFlow Serving's REST interface answer them."""

from enum import IntEnum

from forecasting.errors import AlmanacError


class StatusCode(IntEnum):
    """Canonical codes (google.rpc.Code); the same numbers as TensorFlow's and gRPC's."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_HTTP_CODES = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}


def http_code(code: StatusCode) -> int:
    """HTTP status of a code, as in TensorFlow Serving's http_server.cc."""
    return _HTTP_CODES.get(code, 500)


INTERNAL_TEXT = "a fault of this server; its log tells more"
"""What a client is told of an exception that is no `RequestError`; the details may not be the client's."""


class RequestError(AlmanacError):
    """A request, or the loading of a version, ends with a status other than OK."""

    def __init__(self, code: StatusCode, message: str) -> None:
        """Keep the code beside the message."""
        super().__init__(message)
        self.code = code
        self.message = message


class OverloadError(RequestError):
    """A request is refused because too many are there; who asks again at once makes it worse."""


class LoadRefusedError(RequestError):
    """A version must not be served; `reason` is the word under which that is counted."""

    def __init__(self, reason: str, code: StatusCode, message: str) -> None:
        """Keep the reason beside code and message."""
        super().__init__(code, message)
        self.reason = reason


def deadline_passed() -> RequestError:
    """A DEADLINE_EXCEEDED."""
    return RequestError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the model answered")


def invalid(message: str) -> RequestError:
    """An INVALID_ARGUMENT."""
    return RequestError(StatusCode.INVALID_ARGUMENT, message)
