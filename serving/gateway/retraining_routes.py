"""The routes of retraining: alerts of Alertmanager, requests by hand, and their list."""

from typing import Any

from fastapi import APIRouter, Request, Response

from forecasting.answering.answer_error import AnswerError
from serving.gateway.answers import as_json
from serving.gateway.guard import ALERTS_PATH, RETRAIN_PATH
from serving.gateway.plain_route import PlainRoute, as_response
from serving.gateway.retraining import RetrainAsker
from serving.gateway.retraining_schemas import (
    ALERT_EXAMPLES,
    RETRAIN_EXAMPLES,
    AlertsBody,
    AlertsDocument,
    RetrainBody,
    RetrainDocument,
    RetrainRequestsDocument,
)
from serving.gateway.schemas import ErrorDocument, body_of

retraining_router = APIRouter(route_class=PlainRoute)

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorDocument, "description": "The request must be changed; the text says what and where."},
    404: {"model": ErrorDocument, "description": "This gateway has no store."},
    429: {"model": ErrorDocument, "description": "Too many posts of alerts a second."},
    503: {"model": ErrorDocument, "description": "The store cannot be used now; send it again later."},
}


@retraining_router.post(
    ALERTS_PATH,
    summary="Take alerts of Alertmanager",
    response_model=AlertsDocument,
    responses=_ERRORS,
    openapi_extra=body_of(AlertsBody, ALERT_EXAMPLES),
)
async def post_alerts(request: Request) -> Response:
    """A firing alert with the label `retrain` and this model asks for a run; all others are answered and left alone.

    Sending the same again changes nothing: while a request of the model is open, and for a while after it, none is made.
    """
    return as_response(as_json(await _asker(request).alerts(await request.body())))


@retraining_router.post(
    RETRAIN_PATH,
    summary="Ask to train again",
    response_model=RetrainDocument,
    responses=_ERRORS,
    openapi_extra=body_of(RetrainBody, RETRAIN_EXAMPLES),
)
async def post_retrain(request: Request) -> Response:
    """Write a request by hand; `almanac worker` runs it. Neither cool-down nor limits hold it back."""
    return as_response(as_json(await _asker(request).by_hand(await request.body(), request.state.client)))


@retraining_router.get(
    RETRAIN_PATH, summary="List requests to train again", response_model=RetrainRequestsDocument, responses=_ERRORS
)
async def get_retrain(request: Request) -> Response:
    """The latest requests of the model and what became of them."""
    return as_response(as_json(await _asker(request).requests()))


def _asker(request: Request) -> RetrainAsker:
    asker: RetrainAsker | None = request.app.state.service.retraining
    if asker is None:
        raise AnswerError(404, "this gateway keeps no requests; start it with --store, or by `almanac serve`")
    return asker
