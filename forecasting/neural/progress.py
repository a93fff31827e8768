"""How far an epoch has come, for a terminal: shares, speed and the time left."""

import logging
import time

from forecasting.progress import TRANSIENT, bar

logger = logging.getLogger(__name__)


class EpochProgress:
    """Tells a terminal of the steps of an epoch; a log has one line an epoch instead."""

    def __init__(self, epoch: int, n_epochs: int, n_steps: int, batch_size: int, *, first: int) -> None:
        """Progress from step `first` of `n_steps` on."""
        self._words = f"epoch {epoch}/{n_epochs}"
        self._n_steps, self._batch_size, self._first = n_steps, batch_size, first
        self._began = time.monotonic()

    def show(self, step: int) -> None:
        """Say that `step` steps of the epoch are done."""
        elapsed = max(time.monotonic() - self._began, 1e-9)
        speed = (step - self._first) / elapsed
        left_s = (self._n_steps - step) / max(speed, 1e-9)
        text = (
            f"{self._words} {bar(step / self._n_steps)}, {speed * self._batch_size:,.0f} windows/s, "
            f"{int(left_s) // 60}:{int(left_s) % 60:02d} left"
        )
        logger.info("%s", text, extra={TRANSIENT: True})
