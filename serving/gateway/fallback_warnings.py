"""Warnings of the fallback in the log, a few at most."""

import logging
import time
from collections.abc import Callable

import numpy as np

from forecasting.answering.fallback import FallbackCause

logger = logging.getLogger(__name__)

WARNING_S = 60.0
"""Least time between two warnings of one cause."""


class FallbackWarnings:
    """One warning a minute and cause at most; what was not said is counted in the next."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing said yet; the clock is in seconds."""
        self._clock = clock
        self._said: dict[FallbackCause, float] = {}
        self._n_unsaid: dict[FallbackCause, int] = {}

    def say(self, cause: FallbackCause, n_series: int, reason: str) -> None:
        """Warn that some series are answered by the fallback."""
        now, unsaid = self._clock(), self._n_unsaid.get(cause, 0) + n_series
        if now - self._said.get(cause, -np.inf) < WARNING_S:
            self._n_unsaid[cause] = unsaid
            return
        self._said[cause], self._n_unsaid[cause] = now, 0
        logger.warning("%d series answered by the seasonal naive forecast (%s): %s", unsaid, cause.value, reason)
