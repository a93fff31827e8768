"""Signals that ask to stop, kept until a step is done and a checkpoint written."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from forecasting.errors import StoppedError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class DeferredStop:
    """While it is open SIGTERM and ^C only set `asked`; `leave` then does what they would have done.

    Outside of the main thread signals cannot be caught: nothing happens there.
    """

    def __init__(self) -> None:
        """Closed."""
        self._number: int | None = None
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        handlers, self._before = self._before, {}
        for number, handler in handlers.items():
            # A handler that `leave` has called may have replaced itself, so that a second signal changes nothing.
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        if kind is None and self.asked:
            self._forward(handlers)

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._number is not None

    def leave(self) -> None:
        """Do what the signal that came does outside of here.

        Raises:
            StoppedError: Nobody else handles the signal.
        """
        handlers = dict(self._before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        self._forward(handlers)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._number = number

    def _forward(self, handlers: dict[signal.Signals, Any]) -> None:
        number = signal.Signals(self._number or signal.SIGTERM)
        self._number = None
        handler = handlers.get(number)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(number, None)
        raise StoppedError(f"training was stopped by {number.name}; the same training goes on from its checkpoint")
