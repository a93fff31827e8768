"""The routes of the page. They are no part of the interface that the OpenAPI document describes."""

from fastapi import APIRouter, Request, Response

from forecasting.answering.answer_error import AnswerError
from serving.gateway.page.files import page_answer
from serving.gateway.plain_route import PlainRoute, as_response

page_router = APIRouter(route_class=PlainRoute, include_in_schema=False)


@page_router.get("/")
async def get_page(request: Request) -> Response:
    """The page."""
    return _file(request, "/")


@page_router.get("/page/{name:path}")
async def get_page_file(request: Request, name: str) -> Response:
    """A file that the page loads."""
    return _file(request, f"/page/{name}")


def _file(request: Request, path: str) -> Response:
    found = page_answer(path, request.headers.get("if-none-match"))
    if found is None:
        raise AnswerError(404, f"there is no {path!r} in the page; GET / has the names of its files")
    return as_response(found)
