"""When a request is sent again, and when that must stop."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon.

    n_attempts: of one request, the first one among them. first_pause_s: before the second; doubled each time up to
    longest_pause_s, and a random part of it is left out, so that clients do not come back all at once; what the gateway
    asks for by Retry-After is waited at least. budget: retries that may be sent before any request succeeds, over all
    requests of a client; each success earns a tenth of a retry, up to the budget, so that clients of a gateway in trouble
    send a tenth more at most and not n_attempts times as much.
    """

    n_attempts: int = 4
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    budget: int = 10


_PRICE = 10
"""Successes that earn a retry; the budget is counted in them."""


class Retries:
    """What is left of a client's budget."""

    def __init__(self, policy: RetryPolicy, *, draw: Callable[[], float] = random.random) -> None:
        """The whole budget; draw gives numbers from 0 to 1."""
        self.policy, self._draw, self._left = policy, draw, policy.budget * _PRICE

    def succeeded(self) -> None:
        """A request was answered."""
        self._left = min(self.policy.budget * _PRICE, self._left + 1)

    def pause_s(self, n_sent: int, *, asked_s: float, left_s: float) -> float | None:
        """How long to wait before a request is sent again; none: it is not.

        Args:
            n_sent: How often it was sent.
            asked_s: What the gateway asks to wait, 0 where it does not.
            left_s: Until the deadline.
        """
        longest = min(self.policy.longest_pause_s, self.policy.first_pause_s * 2 ** (n_sent - 1))
        pause = max(asked_s, longest * (0.5 + 0.5 * self._draw()))
        if n_sent >= self.policy.n_attempts or self._left < _PRICE or pause >= left_s:
            return None
        self._left -= _PRICE
        return pause
