"""Connections to PostgreSQL that do not wait for ever for a server that says nothing.

What the server limits itself, it limits no more once it hangs: a stopped process, a network that is cut in two.
"""

import math
import os
import socket
import time
import weakref
from collections.abc import Generator
from typing import Any, TypeVar

from psycopg import Connection, Error
from psycopg.errors import OperationalError

T = TypeVar("T")


class PatientConnection(Connection[Any]):
    """A connection that is closed where the server says nothing for `answer_s` seconds while it is waited for."""

    answer_s: float = math.inf

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait for the answer to one thing; whatever asks the server anything waits here.

        Raises:
            psycopg.OperationalError: There was none in time.
        """
        return super().wait(self._bounded(gen), *args, **kwargs)

    def hang_up(self) -> None:
        """End the waiting of another thread at once."""
        try:
            line = socket.socket(fileno=os.dup(self.pgconn.socket))
        except (Error, OSError):
            # It is closed already.
            return
        with line:
            line.shutdown(socket.SHUT_RDWR)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        end = time.monotonic() + self.answer_s
        try:
            wanted = next(gen)
            while True:
                # Nothing is ready where only the interval of a look has passed.
                if not (ready := (yield wanted)) and time.monotonic() > end:
                    self.pgconn.finish()
                    raise OperationalError(f"the server did not answer within {self.answer_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            found: T = done.value
            return found


class OpenConnections:
    """The connections of one engine, none of them kept alive by it."""

    def __init__(self, *, answer_s: float) -> None:
        """None yet; each waits for so many seconds, until it is told otherwise."""
        self._answer_s, self._closed = answer_s, False
        self._all: weakref.WeakSet[PatientConnection] = weakref.WeakSet()

    def connect(self, *args: Any, **kwargs: Any) -> PatientConnection:
        """A new one.

        Raises:
            psycopg.OperationalError: There is no server, it says nothing, or all of them were hung up.
        """
        if self._closed:
            raise OperationalError("the store was closed")
        found = PatientConnection.connect(*args, **kwargs)
        found.answer_s = self._answer_s
        self._all.add(found)
        return found

    def hang_up(self) -> None:
        """End whatever is being waited for, and open none any more."""
        self._closed = True
        for one in list(self._all):
            one.hang_up()
