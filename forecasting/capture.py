"""Where a step's output goes: to its log file, or to the terminal."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from forecasting.progress import TRANSIENT


@contextmanager
def shown() -> Iterator[TextIO]:
    """Leave everything on the terminal, where a debugger needs it."""
    yield sys.stderr


@contextmanager
def captured(log: Path) -> Iterator[TextIO]:
    """Send file descriptors 1 and 2 and Python's logging to a file; gives the terminal as it was.

    Descriptors, because libraries in C++ and processes that a step starts write there too.
    """
    with log.open("a", encoding="utf-8", buffering=1) as stream, _logging_to(stream):
        _flush()
        saved = [os.dup(1), os.dup(2)]
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            with os.fdopen(os.dup(saved[1]), "w", encoding="utf-8") as terminal:
                yield terminal
        finally:
            _flush()
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextmanager
def _logging_to(stream: TextIO) -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: not getattr(record, TRANSIENT, False))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
