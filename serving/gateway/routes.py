"""The routes of the gateway, and what its OpenAPI document says of them.

Bodies are read and written by the gateway itself: a framework's validation of thousands of series, value by value,
would cost more than their forecasts. The classes of `schemas.py` are for the document; a test holds both together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from forecasting.contracts.ports import METRICS_PATH
from forecasting.version import VERSION
from serving.gateway.answers import TEXT, Answer
from serving.gateway.documents import forecasts_json
from serving.gateway.forecast_request import parse_forecast_request
from serving.gateway.forecaster import Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.pages import StatePages
from serving.gateway.schemas import (
    FORECAST_EXAMPLES,
    ErrorDocument,
    ForecastBody,
    ForecastsDocument,
    ModelDocument,
    SeriesListDocument,
)

OTHER_ROUTE = "other"
"""What the metrics call a path that there is not: a client's text is never a label."""

router = APIRouter()


@dataclass(frozen=True)
class GatewayService:
    """What the routes answer with."""

    forecaster: Forecaster
    pages: StatePages
    metrics: GatewayMetrics


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
    return routes


def route_name(scope: Mapping[str, Any]) -> str:
    """The path of the route that a request matched, as it is declared."""
    return getattr(scope.get("route"), "path", OTHER_ROUTE)


def as_response(answer: Answer) -> Response:
    """An answer as the framework has it."""
    return Response(answer.body, answer.code, {**answer.headers, "content-type": answer.content_type})


def _service(request: Request) -> GatewayService:
    service: GatewayService = request.app.state.service
    return service


def _body_of(model: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"requestBody": {"content": {"application/json": {"schema": schema, "examples": examples}}}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorDocument, "description": "The request must be changed; the text says what and where."},
    404: {"model": ErrorDocument, "description": "There is no such series, model or path."},
    413: {"model": ErrorDocument, "description": "The body is too large."},
    502: {"model": ErrorDocument, "description": "The model server answers wrongly."},
    503: {"model": ErrorDocument, "description": "Nothing can answer now; ask again later."},
}
_STATE_ERRORS: dict[int | str, dict[str, Any]] = {code: _ERRORS[code] for code in (404, 503)}


@router.post(
    "/v1/forecast",
    summary="Forecast some or all series",
    response_model=ForecastsDocument,
    responses=_ERRORS,
    openapi_extra=_body_of(ForecastBody, FORECAST_EXAMPLES),
)
async def post_forecast(request: Request) -> Response:
    """Forecasts from the step after the last target of each series, or from an origin that is asked for."""
    service = _service(request)
    body = await request.body()
    found = await service.forecaster.forecast(parse_forecast_request(body), request.state.request_id)
    service.metrics.series.labels(service.forecaster.name).inc(len(found))
    return as_response(Answer(200, forecasts_json(found)))


@router.get(
    "/v1/series", summary="List series and their origins", response_model=SeriesListDocument, responses=_STATE_ERRORS
)
async def get_series(request: Request) -> Response:
    """Ids of all series and from when each can be forecast."""
    return as_response(await _service(request).pages.series())


@router.get("/v1/models/{name}", summary="Describe the model", response_model=ModelDocument, responses=_STATE_ERRORS)
async def get_model(request: Request, name: str) -> Response:
    """Versions by role, and what the model reads."""
    return as_response(await _service(request).pages.model(name))


@router.get("/healthz", summary="Liveness", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_health() -> Response:
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
