"""Whether the client of an HTTP request is still there."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from serving.model_server.status import RequestError, StatusCode

T = TypeVar("T")


async def while_connected(answer: Coroutine[Any, Any, T], receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> T:
    """Await an answer as long as its client waits for it.

    Args:
        answer: Cancelled where the client goes.
        receive: ASGI's, after the body was read.

    Raises:
        RequestError: CANCELLED: the client went away first; or the answer's own.
    """
    answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise RequestError(StatusCode.CANCELLED, "the client went away")
    finally:
        leaving.cancel()
        answering.cancel()
        # A cancelled call gives its place back before the request is counted out.
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _gone(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
