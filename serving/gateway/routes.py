"""The routes of the gateway, and what its OpenAPI document says of them.

Bodies are read and written by the gateway itself: a framework's validation of thousands of series, value by value,
would cost more than their forecasts. The classes of `schemas.py` are for the document; a test holds both together.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.request import ForecastRequest
from forecasting.contracts.ports import METRICS_PATH
from forecasting.version import VERSION
from serving.gateway.answers import JSON, TEXT, Answer, as_json
from serving.gateway.arrow_bodies import ARROW, forecasts_arrow
from serving.gateway.arrow_request import QUERY_PARAMETERS, parse_arrow_request
from serving.gateway.candidate_traffic import CandidateTraffic
from serving.gateway.documents import forecasts_json
from serving.gateway.forecast_request import parse_forecast_request
from serving.gateway.forecaster import SERIES_BYTES, Forecaster, run_for
from serving.gateway.gateway_store import GatewayStore
from serving.gateway.kept_forecasts import KEPT_PARAMETERS
from serving.gateway.kserve import kserve_answer, parse_kserve_request
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.observation_post import (
    IDEMPOTENCY_HEADER,
    parse_arrow_observations,
    parse_observations,
    post_digest,
)
from serving.gateway.page.routes import page_router
from serving.gateway.pages import StatePages
from serving.gateway.past import HISTORY_PARAMETERS
from serving.gateway.plain_route import PlainRoute, as_response
from serving.gateway.replays import REPLAY_PARAMETERS
from serving.gateway.retraining import RetrainAsker
from serving.gateway.retraining_routes import retraining_router
from serving.gateway.schemas import (
    FORECAST_EXAMPLES,
    KSERVE_EXAMPLES,
    OBSERVATION_EXAMPLES,
    ErrorDocument,
    ForecastBody,
    ForecastsDocument,
    HistoryDocument,
    KeptForecastsDocument,
    KserveBody,
    ModelDocument,
    ObservationsBody,
    ObservationsDocument,
    SeriesListDocument,
    body_of,
)

OTHER_ROUTE = "other"
"""What the metrics call a path that there is not: a client's text is never a label."""


router = APIRouter(route_class=PlainRoute)


@dataclass(frozen=True)
class GatewayService:
    """What the routes answer with."""

    forecaster: Forecaster
    pages: StatePages
    metrics: GatewayMetrics
    traffic: CandidateTraffic
    store: GatewayStore | None = None
    retraining: RetrainAsker | None = None


def make_routes() -> FastAPI:
    """The routes; `state.service` must be a `GatewayService` before the first request."""
    routes = FastAPI(
        title="Almanac gateway",
        version=VERSION,
        summary="Forecasts of one model, by series.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routes.include_router(router)
    routes.include_router(retraining_router)
    routes.include_router(page_router)
    return routes


def route_name(scope: Mapping[str, Any]) -> str:
    """The path of the route that a request matched, as it is declared."""
    return getattr(scope.get("route"), "path", OTHER_ROUTE)


def _service(request: Request) -> GatewayService:
    service: GatewayService = request.app.state.service
    return service


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorDocument, "description": "The request must be changed; the text says what and where."},
    404: {"model": ErrorDocument, "description": "There is no such series, model or path."},
    413: {"model": ErrorDocument, "description": "The body is too large."},
    502: {"model": ErrorDocument, "description": "The model server answers wrongly."},
    503: {"model": ErrorDocument, "description": "Nothing can answer now; ask again later."},
}
_STATE_ERRORS: dict[int | str, dict[str, Any]] = {code: _ERRORS[code] for code in (404, 503)}


_FORECASTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post(
    "/v1/forecast",
    summary="Forecast some or all series",
    response_model=ForecastsDocument,
    responses={**_ERRORS, **_FORECASTS},
    openapi_extra={"parameters": QUERY_PARAMETERS, **body_of(ForecastBody, FORECAST_EXAMPLES, arrow=True)},
)
async def post_forecast(request: Request) -> Response:
    """Forecasts from the step after the last target of each series, or from an origin that is asked for.

    JSON in or an Arrow IPC stream, by the content type; JSON out or Arrow, by `accept`, else as it came in. The table has
    the columns `series`, `timestamp` and one a value; what else can be asked for is in the query then.
    """
    is_arrow = _content_type(request) == ARROW
    body = await request.body()
    parse = functools.partial(parse_arrow_request, query=request.query_params) if is_arrow else parse_forecast_request
    asked = await run_for(len(body) // SERIES_BYTES, functools.partial(parse, body))
    found = await _forecast(request, asked)
    accepted = request.headers.get("accept", "*/*")
    if ARROW in accepted or (is_arrow and "json" not in accepted):
        content = await _written(found, forecasts_arrow)
        return as_response(Answer(200, content, ARROW))
    return as_response(Answer(200, await _written(found, forecasts_json)))


@router.post(
    "/v1/timeseries/forecast",
    summary="Forecast by KServe's time-series protocol",
    response_class=Response,
    responses={**_ERRORS, 200: {"content": {JSON: {"schema": {"type": "object"}}}}},
    openapi_extra=body_of(KserveBody, KSERVE_EXAMPLES),
)
async def post_timeseries_forecast(request: Request) -> Response:
    """Forecasts of the inputs, each from the step after its last value."""
    service = _service(request)
    spec = (await service.forecaster.current()).spec
    body = await request.body()
    parse = functools.partial(parse_kserve_request, body, service.forecaster.name, spec)
    asked, n_steps = await run_for(len(body) // SERIES_BYTES, parse)
    found = await _forecast(request, asked)
    with_quantiles = asked.quantiles is not None
    write = functools.partial(
        kserve_answer, request_id=request.state.request_id, n_steps=n_steps, with_quantiles=with_quantiles
    )
    return as_response(Answer(200, await _written(found, write)))


@router.get("/v1/timeseries/models", summary="List models by KServe's protocol", response_model=list[str])
async def get_timeseries_models(request: Request) -> Response:
    """The name of the one model."""
    return as_response(as_json([_service(request).forecaster.name]))


_IDEMPOTENCY: dict[str, Any] = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "schema": {"type": "string"},
    "description": "A second request with the same key and content writes nothing; known for a week.",
}
_KNOWN_AT: dict[str, Any] = {
    "name": "known_at",
    "in": "query",
    "schema": {"type": "string"},
    "description": "With an Arrow body, as in JSON.",
}


@router.post(
    "/v1/observations",
    summary="Write what was observed",
    response_model=ObservationsDocument,
    responses={**_ERRORS, 409: {"model": ErrorDocument, "description": "The key was used with another content."}},
    openapi_extra={
        "parameters": [_IDEMPOTENCY, _KNOWN_AT],
        **body_of(ObservationsBody, OBSERVATION_EXAMPLES, arrow=True),
    },
)
async def post_observations(request: Request) -> Response:
    """Values of the target and of covariates by series and time; all of them are written, or none.

    Forecasts are made from them at once. A value that replaces another one of its step is kept beside it, with the time
    since when each is known; writing the same again changes nothing.
    """
    service = _service(request)
    if service.store is None:
        raise AnswerError(404, "this gateway keeps no observations; start it with --store, or by `almanac serve`")
    body = await request.body()
    is_arrow = _content_type(request) == ARROW
    parse = functools.partial(parse_arrow_observations, query=request.query_params) if is_arrow else parse_observations
    n_series = len(body) // SERIES_BYTES
    post = await run_for(n_series, functools.partial(parse, body))
    served, key = await service.forecaster.current(), request.headers.get(IDEMPOTENCY_HEADER)
    digest = await run_for(n_series, functools.partial(post_digest, body, request.url.query))
    counts = await service.store.writer.write(served, post, key=key, digest=digest)
    service.metrics.count_observed(served.name, counts)
    return as_response(as_json(counts))


async def _forecast(request: Request, asked: ForecastRequest) -> ForecastsRecord:
    service = _service(request)
    request_id = request.state.request_id
    found = await service.traffic.forecast(asked, request_id)
    request.state.afterwards = functools.partial(service.traffic.shadow, asked, found, request_id)
    if service.store is not None:
        await run_for(len(found), functools.partial(service.store.keep, found, request_id))
    service.metrics.series.labels(service.forecaster.name).observe(len(found))
    return found


async def _written(found: ForecastsRecord, write: Callable[[ForecastsRecord], bytes]) -> bytes:
    """An answer as bytes; that of many series is written in a thread."""
    return await run_for(len(found), functools.partial(write, found))


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@router.get(
    "/v1/series", summary="List series and their origins", response_model=SeriesListDocument, responses=_STATE_ERRORS
)
async def get_series(request: Request) -> Response:
    """Ids of all series and from when each can be forecast."""
    return as_response(await _service(request).pages.series())


@router.get(
    "/v1/series/{series:path}/history",
    summary="What is known of a series",
    response_model=HistoryDocument,
    responses={code: _ERRORS[code] for code in (400, 404, 503)},
    openapi_extra={"parameters": HISTORY_PARAMETERS},
)
async def get_history(request: Request, series: str) -> Response:
    """Its latest values: the target, observed and known covariates, as a forecast request takes them under `history`."""
    return as_response(await _service(request).pages.history(series, request.query_params))


@router.get(
    "/v1/series/{series:path}/forecasts",
    summary="What was forecast of a series, and what came",
    response_model=KeptForecastsDocument,
    responses={code: _ERRORS[code] for code in (400, 503)},
    openapi_extra={"parameters": KEPT_PARAMETERS},
)
async def get_kept_forecasts(request: Request, series: str) -> Response:
    """The first forecast that was given out from each of the latest origins, with the actual values as they are known now.

    One that was asked for after its time had passed is left out where there are others. None are there where nobody has
    asked yet, or where the gateway keeps no forecasts.
    """
    return as_response(await _service(request).pages.kept(series, request.query_params))


@router.get(
    "/v1/series/{series:path}/replays",
    summary="What would have been forecast from earlier origins",
    response_model=ForecastsDocument,
    responses={code: _ERRORS[code] for code in (400, 404, 502, 503)},
    openapi_extra={"parameters": REPLAY_PARAMETERS},
)
async def get_replays(request: Request, series: str) -> Response:
    """Forecasts of one series from origins a horizon apart, up to its last target; none of them is kept in the store."""
    return as_response(await _service(request).pages.replays(series, request.query_params, request.state.request_id))


@router.get("/v1/models/{name}", summary="Describe the model", response_model=ModelDocument, responses=_STATE_ERRORS)
async def get_model(request: Request, name: str) -> Response:
    """Versions by role, and what the model reads."""
    return as_response(await _service(request).pages.model(name))


@router.get("/healthz", summary="Liveness", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_health(_request: Request) -> Response:
    """The process is alive."""
    return as_response(Answer(200, b"ok\n", TEXT))


@router.get(
    "/readyz",
    summary="Readiness",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 503: _ERRORS[503]},
)
async def get_readiness(request: Request) -> Response:
    """Forecasts are answered: "ready" by the champion, "degraded: …" by the fallback."""
    return as_response(await _service(request).pages.ready())


@router.get(
    METRICS_PATH, summary="Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def get_metrics(request: Request) -> Response:
    """Metrics of this process."""
    return as_response(await _service(request).pages.metrics())


PATHS = frozenset(route.path for route in (*router.routes, *retraining_router.routes) if isinstance(route, PlainRoute))
"""Of all routes, as they are declared."""
