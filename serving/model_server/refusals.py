"""When a refusal is told: at once while there are few, one after another where clients that are refused ask again at once."""

import asyncio
import time
from collections.abc import Callable

LONGEST_S = 1.0
_SHARE = 0.8
"""Of the time until a deadline, what a refusal may wait: it must still come before the deadline does."""
_SAVED_S = 1.0
"""Turns of so many seconds that nobody took are kept: a short rush is refused at once."""

_TICK_S = 0.05
"""To wake the event loop for each refusal would cost more than the refusal, where models take the cores."""


class RefusalPace:
    """Gives each refusal its turn.

    A refusal over gRPC costs as much as a small answer. A client that asks again as soon as it was refused would take from
    the others what it costs, again and again; told a little later, it asks less often, and the time goes into answers.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Let so many refusals a second be told; 0: all at once."""
        self._step_s = 1.0 / per_s if per_s else 0.0
        self._clock = clock
        self._last_s = float("-inf")
        self._ticks: dict[int, asyncio.Event] = {}

    def wait_s(self, left_s: float | None) -> float:
        """Take a turn.

        Args:
            left_s: Seconds until the deadline of the call; None where there is no deadline.

        Returns:
            Seconds until the turn, at most LONGEST_S and most of what is left.
        """
        now_s = self._clock()
        longest_s = LONGEST_S if left_s is None else min(LONGEST_S, _SHARE * max(left_s, 0.0))
        # Where all wait as long as they may, the turns that are given do not run away from the clock.
        self._last_s = min(max(self._last_s, now_s - _SAVED_S) + self._step_s, now_s + LONGEST_S)
        return min(max(self._last_s - now_s, 0.0), longest_s) if self._step_s else 0.0

    async def turn(self, deadline_s: float | None) -> None:
        """Wait for a turn; refusals of one tick are told together.

        Args:
            deadline_s: Time on the monotonic clock after which the refusal is of no use.
        """
        now_s = self._clock()
        wait_s = self.wait_s(None if deadline_s is None else deadline_s - now_s)
        tick = int((now_s + wait_s) / _TICK_S)
        left_s = tick * _TICK_S - now_s
        if left_s <= 0:
            return
        told = self._ticks.get(tick)
        if told is None:
            told = self._ticks[tick] = asyncio.Event()
            asyncio.get_running_loop().call_later(left_s, self._tell, tick)
        await told.wait()

    def _tell(self, tick: int) -> None:
        self._ticks.pop(tick).set()
