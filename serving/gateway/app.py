"""The ASGI application around the routes: request ids, tokens, limits, errors, metrics, the log.

What every request passes is here, written as bare ASGI because each layer of middleware costs every request;
the routes themselves are in `routes.py`.
"""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from forecasting.answering.answer_error import AnswerError
from forecasting.errors import AlmanacError
from serving.gateway.answers import Answer, as_error
from serving.gateway.candidate_traffic import CandidateTraffic
from serving.gateway.forecaster import REQUEST_ID, Forecaster
from serving.gateway.gateway_store import GatewayStore
from serving.gateway.guard import OPEN_PATHS, Guard, required_scope
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.pages import StatePages
from serving.gateway.plain_route import as_response
from serving.gateway.request_log import log_request
from serving.gateway.retraining import RetrainAsker
from serving.gateway.routes import OTHER_ROUTE, PATHS, GatewayService, make_routes, route_name

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
        self, forecaster: Forecaster, pages: StatePages, metrics: GatewayMetrics, guard: Guard, *, max_body_bytes: int,
        traffic: CandidateTraffic, store: GatewayStore | None = None, retraining: RetrainAsker | None = None,
    ) -> None:  # fmt: skip
        """Answer with a forecaster who is let in by a guard."""
        self._name, self._metrics, self._guard, self._max_body_bytes = forecaster.name, metrics, guard, max_body_bytes
        self._n_in_flight = 0
        self._routes = make_routes()
        self._routes.state.service = GatewayService(forecaster, pages, metrics, traffic, store, retraining)
        _add_error_handlers(self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(
            receive, send, usable_request_id(_header(scope, _REQUEST_ID_HEADER)), self._max_body_bytes, self._guard
        )
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        self._n_in_flight += 1
        self._metrics.in_flight.set(self._n_in_flight)
        client = "-"
        try:
            if scope["path"] not in OPEN_PATHS:
                client = scope["state"]["client"] = self._admit(scope)
            await self._routes(scope, exchange.receive, exchange.send)
        except AnswerError as error:
            await exchange.answer(as_error(error, exchange.request_id))
        finally:
            self._n_in_flight -= 1
            self._guard.give_back_bytes(exchange.n_received)
            self._metrics.in_flight.set(self._n_in_flight)
            self._note(scope, exchange, client)
            # Behind the answer, so that no client waits for it.
            if exchange.status == 200 and (afterwards := scope["state"].get("afterwards")) is not None:
                afterwards()

    def _admit(self, scope: Scope) -> str:
        self._guard.admit_page(_header(scope, b"host"), _header(scope, b"origin"))
        authorization = _header(scope, b"authorization")
        peer = scope.get("client") or ("", 0)
        return self._guard.admit(
            authorization, str(peer[0]), required_scope(scope["path"]), n_in_flight=self._n_in_flight
        )

    def _note(self, scope: Scope, exchange: "_Exchange", client: str) -> None:
        route, seconds = route_name(scope), time.perf_counter() - exchange.start
        if route == OTHER_ROUTE and scope["path"] in PATHS:
            # A request that was not let in never met its route.
            route = scope["path"]
        self._metrics.count_request(self._name, route, exchange.status, seconds)
        log_request(
            exchange.request_id, route=route, method=scope["method"], status=exchange.status, client=client,
            seconds=seconds, n_bytes=(exchange.n_received, exchange.n_sent),
        )  # fmt: skip


def usable_request_id(given: str | None) -> str:
    """The client's id where it is one that may stand in a header and a log, else a new one."""
    return given if given is not None and _REQUEST_ID_FORM.fullmatch(given) else uuid.uuid4().hex


class _Exchange:
    """One request and its answer: counts bytes, bounds the body and all bodies together, puts the request id into the answer."""

    def __init__(self, receive: Receive, send: Send, request_id: str, max_bytes: int, guard: Guard) -> None:
        self._receive, self._send, self.request_id, self._max_bytes = receive, send, request_id, max_bytes
        self._guard = guard
        self.start, self.status, self.n_received, self.n_sent = time.perf_counter(), 500, 0, 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise AnswerError(499, "the client went away")
        n_bytes = len(message.get("body", b""))
        self.n_received += n_bytes
        self._guard.take_bytes(n_bytes)
        if self.n_received > self._max_bytes:
            raise AnswerError(413, f"the body must not exceed {self._max_bytes} bytes")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (_REQUEST_ID_HEADER, self.request_id.encode())]
        self.n_sent += len(message.get("body", b""))
        await self._send(message)

    async def answer(self, found: Answer) -> None:
        names = {**found.headers, "content-type": found.content_type, "content-length": str(len(found.body))}
        headers = [(name.encode(), value.encode()) for name, value in names.items()]
        await self.send({"type": "http.response.start", "status": found.code, "headers": headers})
        await self.send({"type": "http.response.body", "body": found.body})


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


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
