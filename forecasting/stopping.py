"""Signals that end a process, as errors or as an event."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from forecasting.errors import StoppedError


@contextmanager
def stop_signals(what_now: str) -> Iterator[None]:
    """Turn SIGTERM and ^C into StoppedError, which unwinds what goes on like any other error.

    Args:
        what_now: What a person may do then, for the message.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        # A second signal, such as ^C to the whole group and SIGTERM from the run, must not break the unwinding.
        for other in (signal.SIGTERM, signal.SIGINT):
            signal.signal(other, signal.SIG_IGN)
        name = signal.Signals(number).name
        raise StoppedError(f"stopped by {name}; {what_now}")

    before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {
        number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event at SIGTERM and SIGINT while the block runs."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
