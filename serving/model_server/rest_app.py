"""REST: TensorFlow Serving's interface as a bare ASGI application, and liveness, readiness and metrics."""

import logging
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf import json_format

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.messages import ClassificationRequest, GetModelStatusRequest, ModelSpec, RegressionRequest
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import OWN_REFUSED, REQUEST_COUNT, REQUEST_LATENCY
from serving.model_server.model_service import ModelService
from serving.model_server.observed import REST, Observation, ObservedService
from serving.model_server.rest_bodies import BodyDeadlines
from serving.model_server.rest_connection import while_connected
from serving.model_server.rest_examples import fill_examples
from serving.model_server.rest_json import parse_object, signature_name_of
from serving.model_server.rest_paths import CLASSIFY, METADATA, PREDICT, RestRoute, is_served, route_of
from serving.model_server.rest_quick import quick_body
from serving.model_server.rest_render import error_body, render_classifications, render_outputs, render_regressions
from serving.model_server.rest_values import values_of
from serving.model_server.served_version import ServedVersion
from serving.model_server.status import INTERNAL_TEXT, RequestError, StatusCode, http_code, invalid

logger = logging.getLogger(__name__)

OWN_METRICS_PATH, LIVE_PATH, READY_PATH = "/metrics", "/healthz", "/readyz"
_MAX_INFLATED_BYTES = 100 * 2**20
_JSON, _TEXT, _HTML = b"application/json", b"text/plain", b"text/html"
_ORIGIN = re.compile(rb"https?://")
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)
_NOT_FOUND = b"<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n</body></html>\n"

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Page = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class RestConfig:
    """Limits and switches of the REST side."""

    timeout_s: float = 30.0
    max_body_bytes: int = 64 * 2**20
    cors: bool = False
    metrics_path: str | None = None
    """Path of the official metrics page, or none."""


@dataclass(frozen=True)
class _Answer:
    code: int
    body: bytes
    content_type: bytes | None = _JSON


class RestApp:
    """The ASGI application."""

    def __init__(
        self, config: RestConfig, service: ObservedService, models: ModelService, pages: Mapping[str, Page]
    ) -> None:
        """Answer from the services.

        Args:
            config: Limits and switches.
            service: Inference, counted.
            models: State of the models.
            pages: Plain text pages by path, such as the metrics.
        """
        self._config, self._service, self._models, self._pages = config, service, models, pages
        self._inference: InferenceService = service.inference
        self._bodies = BodyDeadlines(config.timeout_s)
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        served = scope["path"] not in self._pages and is_served(path)
        try:
            answer = await (self._answer(scope, path, receive) if served else self._own_page(scope["path"], path))
        except RequestError as error:
            answer = _Answer(http_code(error.code), error_body(error.message))
        # The last boundary of a request: a fault of ours is told as one and kept in the log, and the server goes on.
        except Exception:
            logger.exception("%s %s ends in a fault of this server", scope["method"], path)
            answer = _Answer(http_code(StatusCode.INTERNAL), error_body(INTERNAL_TEXT))
        headers = [(b"content-length", str(len(answer.body)).encode())]
        if answer.content_type is not None:
            headers.append((b"content-type", answer.content_type))
        if served and self._config.cors:
            headers += _CORS
        await send({"type": "http.response.start", "status": answer.code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _own_page(self, path: str, whole: str) -> _Answer:
        if path in self._pages:
            if whole != path and path != OWN_METRICS_PATH:
                text = f"Unexpected path: {whole}. Should be {path}"
                return _Answer(http_code(StatusCode.INVALID_ARGUMENT), text.encode("latin-1", "replace"), _TEXT)
            return _Answer(200, (await self._pages[path]()).encode(), _TEXT)
        if path == LIVE_PATH:
            return _Answer(200, b"ok\n", _TEXT)
        if path == READY_PATH:
            ready = self._inference.keeper.ready() and not self.draining
            return _Answer(200, b"ready\n", _TEXT) if ready else _Answer(503, b"not ready\n", _TEXT)
        return _Answer(404, _NOT_FOUND, _HTML)

    async def _answer(self, scope: Scope, path: str, receive: Receive) -> _Answer:
        method = scope["method"]
        if method == "OPTIONS":
            return _preflight(scope)
        try:
            route = route_of(method, path)
        except RequestError as error:
            self._service.metrics.count(REQUEST_COUNT, "", error.code.name)
            raise
        if route.action in (METADATA, "status"):
            return self._read(route)
        return await self._infer(route, scope, receive)

    async def _infer(self, route: RestRoute, scope: Scope, receive: Receive) -> _Answer:
        """Answer a request that is counted in before its body is read: refused ones must not fill the memory."""
        deadline_s = time.monotonic() + self._config.timeout_s
        seen = Observation(model=route.model, api=route.action, entrypoint=REST, deadline_s=deadline_s)
        run = self._predict if route.action == PREDICT else self._examples

        async def answer() -> bytes:
            self._require_room(route)
            body = await self._read_body(scope, receive)
            seen.start_s = time.perf_counter()
            answering = run(route, body, seen, time.monotonic() + self._config.timeout_s)
            # To listen for the end of a connection costs a task: too much for a call that need not wait.
            return await (while_connected(answering, receive) if self._must_wait(route) else answering)

        return _Answer(200, await self._service.observe(seen, answer))

    def _require_room(self, route: RestRoute) -> None:
        """Refuse before the body is read."""
        if (served := self._served(route)) is not None:
            self._inference.executor.require_room(served, None)

    def _must_wait(self, route: RestRoute) -> bool:
        served = self._served(route)
        return served is not None and self._inference.executor.must_wait(served)

    def _served(self, route: RestRoute) -> ServedVersion | None:
        """A model that is not there is told after the body is read, as TensorFlow Serving does."""
        try:
            return self._inference.keeper.find(route.model, route.version, route.label)
        except RequestError:
            return None

    async def _predict(self, route: RestRoute, raw: bytes, seen: Observation, deadline_s: float) -> bytes:
        quick = quick_body(raw)
        body = parse_object(raw) if quick is None else None
        name = quick.signature_name if quick is not None else signature_name_of(body.document if body else {})
        seen.served = served = self._inference.keeper.find(route.model, route.version, route.label)
        key = name or SERVING_DEFAULT
        signature = served.signatures.get(key)
        if signature is None:
            raise invalid(f'Serving signature name: "{key}" not found in signature def')
        seen.signatures = (key,)
        sent = quick.arrays(signature.inputs) if quick is not None else None
        as_rows = quick.as_rows if quick is not None else False
        if sent is None:
            sent, as_rows = values_of(body or parse_object(raw), signature.inputs, name)
        results = await self._inference.run(served, signature, sent, (), "Predict", deadline_s)
        if self._service.log is not None:
            self._service.log.offer_arrays(served.spec(key), sent, results)
        return render_outputs(results, as_rows=as_rows)

    async def _examples(self, route: RestRoute, raw: bytes, seen: Observation, deadline_s: float) -> bytes:
        classify = route.action == CLASSIFY
        request = ClassificationRequest() if classify else RegressionRequest()
        request.model_spec.CopyFrom(_spec(route))
        fill_examples(parse_object(raw), request)
        answer = self._inference.classify if classify else self._inference.regress
        response = await answer(request, deadline_s, seen)
        if self._service.log is not None:
            self._service.log.offer(f"{route.action}_log", request, response)
        return render_classifications(response.result) if classify else render_regressions(response.result)

    def _read(self, route: RestRoute) -> _Answer:
        metrics, start, status = self._service.metrics, time.perf_counter(), StatusCode.INTERNAL
        try:
            body = self._metadata(route) if route.action == METADATA else self._status(route)
            status = StatusCode.OK
            metrics.observe(REQUEST_LATENCY, (time.perf_counter() - start) * 1e6, route.model, "", REST)
            return _Answer(200, body)
        except RequestError as error:
            status = error.code
            raise
        finally:
            known = bool(self._inference.keeper.versions(route.model))
            metrics.count(REQUEST_COUNT, route.model if known else metrics.unknown_model(route.model), status.name)

    def _status(self, route: RestRoute) -> bytes:
        response = self._models.status(GetModelStatusRequest(model_spec=_spec(route)))
        return orjson.dumps(
            json_format.MessageToDict(
                response, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
            ),
            option=orjson.OPT_INDENT_2,
        )

    def _metadata(self, route: RestRoute) -> bytes:
        served = self._inference.keeper.find(route.model, route.version, route.label)
        signatures = json_format.MessageToDict(
            self._inference.signature_map(served),
            always_print_fields_with_no_presence=True,
            preserving_proto_field_name=True,
        )
        document = {
            "model_spec": {"name": served.name, "signature_name": "", "version": str(served.version)},
            "metadata": {"signature_def": signatures},
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        gzipped = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                if value.isdigit() and int(value) > self._config.max_body_bytes:
                    raise self._too_large()
            elif name == b"content-encoding":
                gzipped = b"gzip" in value.lower()
        body = await self._bodies.in_time(self._received(receive))
        return _inflate(body) if gzipped else body

    async def _received(self, receive: Receive) -> bytes:
        parts, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError(StatusCode.CANCELLED, "the client went away")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._config.max_body_bytes:
                raise self._too_large()
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> RequestError:
        self._service.metrics.count(OWN_REFUSED, "body")
        return RequestError(
            StatusCode.RESOURCE_EXHAUSTED, f"the body must not exceed {self._config.max_body_bytes} bytes"
        )


def _preflight(scope: Scope) -> _Answer:
    origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    code = StatusCode.OK if _ORIGIN.search(origin) else StatusCode.FAILED_PRECONDITION
    return _Answer(http_code(code), b"", None)


def _spec(route: RestRoute) -> Any:
    spec = ModelSpec(name=route.model)
    if route.version is not None:
        spec.version.value = route.version
    elif route.label is not None:
        spec.version_label = route.label
    return spec


def _inflate(body: bytes) -> bytes:
    """Unpack gzip; what is no complete gzip of at most 100 MiB counts as an empty body, as TensorFlow Serving has it."""
    try:
        engine = zlib.decompressobj(wbits=31)
        inflated = engine.decompress(body, _MAX_INFLATED_BYTES + 1)
    except zlib.error:
        return b""
    whole = engine.eof and not engine.unused_data and len(inflated) <= _MAX_INFLATED_BYTES
    return inflated if whole else b""
