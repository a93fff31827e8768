"""How the gateway's functions hang on the framework's routes."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.gateway.answers import Answer


class PlainRoute(APIRoute):
    """A route whose function takes the request and the parts of its path, with nothing resolved before it is called."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself; the framework's own would look for dependencies in every request."""

        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(request, **request.path_params)
            return response

        return handle


def as_response(answer: Answer) -> Response:
    """An answer as the framework has it."""
    return Response(answer.body, answer.code, {**answer.headers, "content-type": answer.content_type})
