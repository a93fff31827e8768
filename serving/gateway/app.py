"""The ASGI application around the routes: request ids, the size of bodies, errors, metrics, the log.

What every request passes is here, written as bare ASGI because each layer of middleware costs every request;
the routes themselves are in `routes.py`.
"""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from forecasting.errors import AlmanacError
from serving.gateway.answers import AnswerError, as_error
from serving.gateway.forecaster import REQUEST_ID, Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.pages import StatePages
from serving.gateway.routes import OTHER_ROUTE, GatewayService, as_response, make_routes, route_name

logger = logging.getLogger(__name__)

_REQUEST_ID_HEADER = REQUEST_ID.encode()
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class GatewayApp:
    """The ASGI application."""

    def __init__(
        self, forecaster: Forecaster, pages: StatePages, metrics: GatewayMetrics, *, max_body_bytes: int
    ) -> None:
        """Answer with a forecaster."""
        self._name, self._metrics, self._max_body_bytes = forecaster.name, metrics, max_body_bytes
        self._routes = make_routes()
        self._routes.state.service = GatewayService(forecaster, pages, metrics)
        _add_error_handlers(self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        start, status = time.perf_counter(), 500
        request_id = scope.setdefault("state", {})["request_id"] = _request_id(scope)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_REQUEST_ID_HEADER, request_id.encode())]
            await send(message)

        try:
            with self._metrics.in_flight.track_inprogress():
                await self._routes(scope, _limited(receive, self._max_body_bytes), send_with_id)
        finally:
            route = route_name(scope)
            self._metrics.requests.labels(self._name, route, str(status)).inc()
            self._metrics.seconds.labels(self._name, route).observe(time.perf_counter() - start)


def _request_id(scope: Mapping[str, Any]) -> str:
    """The client's id where it is one that may stand in a header and a log, else a new one."""
    for name, value in scope["headers"]:
        if name == _REQUEST_ID_HEADER and _REQUEST_ID_FORM.fullmatch(given := value.decode("latin-1")):
            return given
    return uuid.uuid4().hex


def _limited(receive: Receive, max_bytes: int) -> Receive:
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AnswerError(499, "the client went away")
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise AnswerError(413, f"the body must not exceed {max_bytes} bytes")
        return message

    return receive_some


def _add_error_handlers(routes: FastAPI) -> None:
    def answer(request: Request, error: AnswerError) -> Response:
        return as_response(as_error(error, request.state.request_id))

    async def of_answer(request: Request, error: Exception) -> Response:
        return answer(request, error if isinstance(error, AnswerError) else AnswerError(500, str(error)))

    async def of_almanac(request: Request, error: Exception) -> Response:
        logger.warning("%s %s: %s", request.state.request_id, route_name(request.scope), error)
        return answer(request, AnswerError(503, str(error)))

    async def of_routing(request: Request, error: Exception) -> Response:
        return answer(request, _routing_error(request, error))

    async def of_bug(request: Request, _error: Exception) -> Response:
        return answer(
            request, AnswerError(500, "an error of the gateway itself; its log has more under this request id")
        )

    routes.add_exception_handler(AnswerError, of_answer)
    routes.add_exception_handler(AlmanacError, of_almanac)
    routes.add_exception_handler(HTTPException, of_routing)
    routes.add_exception_handler(Exception, of_bug)


def _routing_error(request: Request, error: Exception) -> AnswerError:
    route = route_name(request.scope)
    if route == OTHER_ROUTE:
        text = (
            f"there is no {request.scope['path']!r}; GET /openapi.json lists what there is, POST /v1/forecast forecasts"
        )
        return AnswerError(404, text)
    methods = ", ".join(sorted(getattr(request.scope.get("route"), "methods", None) or ()))
    code = error.status_code if isinstance(error, HTTPException) else 500
    return AnswerError(code, f"{route} takes {methods}, found {request.method}")
