"""REST: TensorFlow Serving's paths as a bare ASGI application, and liveness, readiness and metrics."""

import asyncio
import gzip
import re
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf import json_format

from forecasting.contracts.ports import MODEL_SERVER_METRICS_PATH
from forecasting.wire.messages import GetModelStatusRequest, ModelSpec
from serving.model_server.feeds import check_fetches
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import REQUEST_COUNT, REQUEST_LATENCY
from serving.model_server.rest_json import error_body, feeds_of, parse_body, render
from serving.model_server.status import RequestError, StatusCode, http_code, invalid

_VERSION = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_PREDICT = re.compile(r"/v1/models/([^/:]+)" + _VERSION + r":(classify|regress|predict)", re.IGNORECASE)
_READ = re.compile(r"/v1/models(?:/([^/:]+))?" + _VERSION + r"(?:/(metadata))?", re.IGNORECASE)
_MAX_INFLATED_BYTES = 100 * 2**20
_JSON = "application/json"
_TEXT = "text/plain"

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class _Answer:
    code: int
    body: bytes
    content_type: str = _JSON


class RestApp:
    """The ASGI application."""

    def __init__(self, service: InferenceService, *, timeout_s: float, max_body_bytes: int) -> None:
        """Answer from the service; requests that take longer than the timeout end with 504."""
        self._service = service
        self._timeout_s = timeout_s
        self._max_body_bytes = max_body_bytes
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(answer.body)).encode())]
        await send({"type": "http.response.start", "status": answer.code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        method = scope["method"]
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        own = self._own_page(path)
        if own is not None:
            return own
        try:
            body = await _read_body(scope, receive, self._max_body_bytes)
            if method == "POST" and (match := _PREDICT.fullmatch(path)):
                return await self._predict(match, body)
            if method == "GET" and (match := _READ.fullmatch(path)):
                return self._read(*match.groups())
            raise invalid(f"Malformed request: {method} {path}")
        except RequestError as error:
            return _Answer(http_code(error.code), error_body(error.message))

    def _own_page(self, path: str) -> _Answer | None:
        if path == MODEL_SERVER_METRICS_PATH:
            return _Answer(200, self._service.metrics.page().encode(), _TEXT)
        if path == "/healthz":
            return _Answer(200, b"ok\n", _TEXT)
        if path == "/readyz":
            ready = self._service.manager.ready() and not self.draining
            return _Answer(200, b"ready\n", _TEXT) if ready else _Answer(503, b"not ready\n", _TEXT)
        return (
            None
            if path.lower().startswith("/v1/")
            else _Answer(404, b"<html><body>Not Found</body></html>\n", "text/html")
        )

    async def _predict(self, match: re.Match[str], body: bytes) -> _Answer:
        quoted_name, version, label, verb = match.groups()
        name, start, status = urllib.parse.unquote(quoted_name), time.perf_counter(), StatusCode.UNKNOWN
        metrics = self._service.metrics
        try:
            if verb.lower() != "predict":
                raise RequestError(StatusCode.UNIMPLEMENTED, f"{verb} is not in this version; use predict")
            async with asyncio.timeout(self._timeout_s):
                answer = await self._run(name, version, label, body)
            status = StatusCode.OK
            metrics.observe(REQUEST_LATENCY, (time.perf_counter() - start) * 1e6, name, "predict", "REST")
            return answer
        except TimeoutError as error:
            status = StatusCode.DEADLINE_EXCEEDED
            raise RequestError(status, f"the model took longer than {self._timeout_s:g} s") from error
        except RequestError as error:
            status = error.code
            raise
        finally:
            metrics.count(REQUEST_COUNT, name, status.name)

    async def _run(self, name: str, version: str | None, label: str | None, body: bytes) -> _Answer:
        request = parse_body(body)
        served = self._service.manager.find(
            name, int(version) if version else None, urllib.parse.unquote(label) if label else None
        )
        signatures = served.backend.signatures if served.backend else {}
        if request.signature_name not in signatures:
            raise invalid(f'Serving signature name: "{request.signature_name}" not found in signature def')
        signature = signatures[request.signature_name]
        feeds = feeds_of(request, signature)
        results = await self._service.run(served, signature, feeds, check_fetches(signature, ()), "predict")
        return _Answer(200, render(results, as_rows=request.as_rows))

    def _read(self, quoted_name: str | None, version: str | None, label: str | None, metadata: str | None) -> _Answer:
        if quoted_name is None:
            raise invalid("Missing model name in request.")
        start, name = time.perf_counter(), urllib.parse.unquote(quoted_name)
        if metadata:
            document = self._metadata(name, version, urllib.parse.unquote(label) if label else None)
        else:
            request = GetModelStatusRequest(model_spec=_spec(name, version))
            document = _status_document(self._service.status(request))
        self._service.metrics.observe(REQUEST_LATENCY, (time.perf_counter() - start) * 1e6, name, "", "REST")
        return _Answer(200, orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def _metadata(self, name: str, version: str | None, label: str | None) -> dict[str, Any]:
        served = self._service.manager.find(name, int(version) if version else None, label)
        signatures = json_format.MessageToDict(
            self._service.signature_map(served),
            always_print_fields_with_no_presence=True,
            preserving_proto_field_name=True,
        )
        return {
            "model_spec": {"name": name, "signature_name": "", "version": str(served.version)},
            "metadata": {"signature_def": signatures},
        }


def _spec(name: str, version: str | None) -> Any:
    spec = ModelSpec(name=name)
    if version:
        spec.version.value = int(version)
    return spec


def _status_document(response: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        response, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


async def _read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(StatusCode.CANCELLED, "the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise RequestError(StatusCode.RESOURCE_EXHAUSTED, f"the body must not exceed {max_bytes} bytes")
        more = message.get("more_body", False)
    body = b"".join(parts)
    if dict(scope["headers"]).get(b"content-encoding", b"").lower() == b"gzip":
        return _inflate(body)
    return body


def _inflate(body: bytes) -> bytes:
    """Unpack gzip; anything else counts as an empty body, as TensorFlow Serving has it."""
    try:
        engine = zlib.decompressobj(wbits=31)
        inflated = engine.decompress(body, _MAX_INFLATED_BYTES)
    except (zlib.error, gzip.BadGzipFile):
        return b""
    if engine.unconsumed_tail:
        raise RequestError(
            StatusCode.RESOURCE_EXHAUSTED, f"the unpacked body must not exceed {_MAX_INFLATED_BYTES} bytes"
        )
    return inflated
