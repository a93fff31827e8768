"""Routes of the gateway, as a bare ASGI application.

POST /v1/forecast     forecasts of some or all series
GET  /v1/models/NAME  versions, roles, what the model reads
GET  /v1/series       ids and the origins at which they can be forecast
GET  /healthz         the process is alive
GET  /readyz          forecasts are answered: "ready" by the champion, "degraded: …" by the fallback
GET  /metrics         Prometheus
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from forecasting.contracts.ports import METRICS_PATH
from forecasting.errors import AlmanacError
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from serving.gateway.answers import READY, TEXT, Answer, AnswerError, as_error, as_json, iso_time
from serving.gateway.forecast_request import parse_forecast_request
from serving.gateway.forecaster import Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.origins import next_origin, past_origins, possible_origins
from serving.gateway.served_model import ServedModel, roles_document

logger = logging.getLogger(__name__)

MODELS_PREFIX = "/v1/models/"
_ROUTES = {"/v1/forecast": "POST", "/v1/series": "GET", "/healthz": "GET", "/readyz": "GET", METRICS_PATH: "GET"}

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class GatewayApp:
    """The ASGI application."""

    def __init__(
        self, forecaster: Forecaster, repository: ModelRepository, metrics: GatewayMetrics, *, max_body_bytes: int
    ) -> None:
        """Answer with a forecaster."""
        self._forecaster, self._repository, self._metrics = forecaster, repository, metrics
        self._max_body_bytes = max_body_bytes
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        start, route = time.perf_counter(), _route(scope["path"])
        with self._metrics.in_flight.track_inprogress():
            try:
                answer = await self._answer(scope, receive, route)
            except AnswerError as error:
                answer = as_error(error)
            except AlmanacError as error:
                logger.warning("%s: %s", route, error)
                answer = as_error(AnswerError(503, str(error)))
        name = self._forecaster.name
        self._metrics.requests.labels(name, route, str(answer.code)).inc()
        self._metrics.seconds.labels(name, route).observe(time.perf_counter() - start)
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(answer.body)).encode())]
        await send({"type": "http.response.start", "status": answer.code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive, route: str) -> Answer:
        expected = _ROUTES.get(route, "GET")
        if route == "other":
            raise AnswerError(
                404, f"there is no {scope['path']!r}; see POST /v1/forecast, GET /v1/series, GET {MODELS_PREFIX}NAME"
            )
        if scope["method"] != expected:
            raise AnswerError(405, f"{route} takes {expected}, found {scope['method']}")
        match route:
            case "/v1/forecast":
                return await self._forecast(await _read_body(receive, self._max_body_bytes))
            case "/v1/series":
                served = await self._forecaster.current()
                return as_json({"series": [_series_entry(served, one) for one in served.series.values()]})
            case "/healthz":
                return Answer(200, b"ok\n", TEXT)
            case "/readyz":
                return await self._ready()
            case "/metrics":
                return Answer(200, await self._page(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return await self._model(scope["path"].removeprefix(MODELS_PREFIX))

    async def _forecast(self, body: bytes) -> Answer:
        document = await self._forecaster.forecast(parse_forecast_request(body))
        self._metrics.series.labels(self._forecaster.name).inc(len(document["forecasts"]))
        return as_json(document)

    async def _ready(self) -> Answer:
        if self.draining:
            raise AnswerError(503, "stopping")
        served = await self._forecaster.current()
        _, problem = await self._server_state(served.name)
        if not problem:
            return Answer(200, f"{READY}\n".encode(), TEXT)
        if not self._forecaster.has_fallback:
            raise AnswerError(503, problem)
        # Not ready would take the gateway out of traffic, and the fallback with it.
        return Answer(200, f"degraded: {problem}\n".encode(), TEXT)

    async def _server_state(self, name: str) -> tuple[list[int], str]:
        """Versions that the model server has available, and why it cannot be asked; empty where it can."""
        try:
            versions = await self._forecaster.available_versions()
        except AlmanacError as error:
            return [], str(error)
        return versions, "" if versions else f"the model server has no version of {name!r} available"

    async def _model(self, name: str) -> Answer:
        if name != self._forecaster.name:
            raise AnswerError(404, f"there is no model {name!r} here; this gateway serves {self._forecaster.name!r}")
        served = await self._forecaster.current()
        versions, problem = await self._server_state(name)
        spec = served.spec
        return as_json(
            {
                "model": name,
                **roles_document(self._repository, name),
                "available_versions": versions,
                "problem": problem,
                "cutoff": iso_time(served.cutoff),
                "target": spec.target,
                "step_s": spec.step_s,
                "horizon": spec.horizon,
                "history_length": spec.history_length,
                "quantiles": spec.quantiles,
                "mean": spec.mean,
                "known": spec.known,
                "n_series": len(served.series),
                "fallback": self._forecaster.has_fallback,
                "quarantined": [{"series": one, "reason": reason} for one, reason in served.quarantine.items()],
            }
        )

    async def _page(self) -> bytes:
        name = self._forecaster.name
        # Cleared first: a role that was given up must not keep its last version.
        self._metrics.version.clear()
        try:
            for role, version in roles_document(self._repository, name).items():
                if version is not None:
                    self._metrics.version.labels(name, role).set(version)
            self._metrics.cutoff.labels(name).set((await self._forecaster.current()).cutoff)
        except AlmanacError:
            # No champion, or damaged roles: the page goes without, and /readyz says why.
            self._metrics.cutoff.clear()
        return self._metrics.page()


def _route(path: str) -> str:
    if path in _ROUTES:
        return path
    return (
        MODELS_PREFIX + "{name}"
        if path.startswith(MODELS_PREFIX) and "/" not in path[len(MODELS_PREFIX) :]
        else "other"
    )


def _series_entry(served: ServedModel, series: Series) -> dict[str, Any]:
    """Origins of a series; `next_origin`, after its last target, needs known covariates that its store may not have."""
    reason = served.quarantine.get(series.id)
    following = next_origin(series, served.spec)
    if reason is None:
        possible = possible_origins(series, served.spec)
    else:
        possible = past_origins(series, served.spec, cutoff=served.cutoff)
    return {
        "id": series.id,
        "first_origin": iso_time(possible.first) if possible else None,
        "last_origin": iso_time(possible.last) if possible else None,
        "default_origin": iso_time(possible.default) if possible else None,
        "next_origin": None if following is None else iso_time(following),
        "degraded": reason is not None,
        "reason": reason,
    }


async def _read_body(receive: Receive, max_bytes: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AnswerError(499, "the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise AnswerError(413, f"the body must not exceed {max_bytes} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)
