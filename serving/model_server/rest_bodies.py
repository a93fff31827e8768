"""A limit on how long the bodies of HTTP requests may take to come."""

import asyncio
import time
from collections.abc import Awaitable

from serving.model_server.status import RequestError, StatusCode

_LOOKS = 4
"""How often within the limit is looked; a body may take so much longer than the limit."""


class BodyDeadlines:
    """Ends the reading of bodies that come too slowly.

    One timer looks after all: a timer for each would cost as much as reading a small body.
    """

    def __init__(self, limit_s: float) -> None:
        """Nothing is read yet."""
        self._limit_s = limit_s
        self._begun_s: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def in_time(self, reading: Awaitable[bytes]) -> bytes:
        """Await a body; every request must have a task of its own.

        Raises:
            RequestError: DEADLINE_EXCEEDED: it did not come in time.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body must be read in a task")
        self._begun_s[task] = time.monotonic()
        if self._timer is None:
            self._wait()
        try:
            return await reading
        except asyncio.CancelledError as error:
            if task not in self._late:
                raise
            task.uncancel()
            text = f"the body must come within {self._limit_s:g} s"
            raise RequestError(StatusCode.DEADLINE_EXCEEDED, text) from error
        finally:
            del self._begun_s[task]
            self._late.discard(task)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit_s / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        latest_s = time.monotonic() - self._limit_s
        for task, begun_s in self._begun_s.items():
            if begun_s <= latest_s and task not in self._late:
                self._late.add(task)
                task.cancel()
        if self._begun_s:
            self._wait()
