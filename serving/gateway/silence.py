"""Whether the model server is silent: one that did not answer in time is asked by one request at a time until it does."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forecasting.errors import RetryableError

PAUSE_S = 2.0
"""How long a silent server is not asked."""


class ServerSilence:
    """What is remembered of a server's deadlines, by the name of the model that was asked.

    After a deadline every request is turned away at once; after each pause one of them asks, so that an answer is seen.
    """

    def __init__(self, pause_s: float = PAUSE_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        """The server is not silent; clock in seconds that only go forward."""
        self._pause_s, self._clock = pause_s, clock
        self._until: dict[str, float] = {}
        self._answered: dict[str, float] = {}

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Ask a model within.

        Raises:
            RetryableError: It is silent, and not to be asked now.
        """
        now, until = self._clock(), self._until.get(name)
        if until is not None and now < until:
            raise RetryableError(f"the model server did not answer for {name!r} in time and is not asked again yet")
        if until is not None:
            # The one that finds out; nobody else waits meanwhile.
            self._until[name] = math.inf
        try:
            yield
        finally:
            if until is not None and self._until.get(name) == math.inf:
                # It asked nothing, or its client went away: the next one finds out.
                self._until[name] = now

    def begun(self) -> float:
        """The time, to be told with a deadline."""
        return self._clock()

    def answered(self, name: str) -> None:
        """The server has answered, or refused."""
        self._answered[name] = self._clock()
        self._until.pop(name, None)

    def missed(self, name: str, begun: float) -> None:
        """A deadline has passed; a server that has answered others since that request began is slow and not silent."""
        if self._answered.get(name, -math.inf) < begun:
            self._until[name] = self._clock() + self._pause_s
