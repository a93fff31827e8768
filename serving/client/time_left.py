"""What is left of the time of an attempt, wherever httpx asks for a timeout."""

import time
from collections.abc import Callable, Iterator, Mapping

_PARTS = ("connect", "read", "write", "pool")
_LEAST_S = 0.001
"""A timeout of zero means a socket that never waits, which is another error."""


class TimeLeft(Mapping[str, float]):
    """Timeouts of httpx by part: each is what is left when its part begins, so that together they take no longer."""

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """The time begins now.

        Args:
            timeout_s: All parts together.
            clock: Seconds.
        """
        self._clock, self._end = clock, clock() + timeout_s

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self._clock() >= self._end

    def __getitem__(self, part: str) -> float:
        if part not in _PARTS:
            raise KeyError(part)
        return max(_LEAST_S, self._end - self._clock())

    def __iter__(self) -> Iterator[str]:
        return iter(_PARTS)

    def __len__(self) -> int:
        return len(_PARTS)
