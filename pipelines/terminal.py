"""What a run shows on the terminal: a line a step, and the seconds of the step that runs."""

import io
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from forecasting.progress import is_bar_line, is_progress_line, is_start_line

_CLEAR_LINE = "\r\033[K"


class ProgressSieve(io.TextIOBase):
    """Takes everything a pipeline prints; progress lines go to the terminal, the rest to a log file.

    On a real terminal the line of the running step counts its seconds until the step ends.
    """

    def __init__(self, log: Path, terminal: TextIO) -> None:
        self._log = log.open("a", encoding="utf-8", buffering=1)
        self._terminal = terminal
        self._rest = ""
        self._running: tuple[str, float] | None = None
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._terminal.isatty():
            self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        if self._clock.is_alive():
            self._clock.join()
        self._show(None)
        self._log.write(self._rest)
        self._log.close()

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def write(self, text: str) -> int:
        """Sort the complete lines of a text; the rest waits for its end."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if is_bar_line(line) and not self._terminal.isatty():
                continue
            if is_progress_line(line.strip()):
                self._show(line.strip())
            self._log.write(line + "\n")
        return len(text)

    def _show(self, line: str | None) -> None:
        with self._lock:
            if self._running and self._terminal.isatty():
                self._terminal.write(_CLEAR_LINE)
            self._running = (line, self._begun(line)) if line and is_start_line(line) else None
            if line and not (self._running and self._terminal.isatty()):
                self._terminal.write(line + "\n")
            self._terminal.flush()

    def _begun(self, line: str) -> float:
        """When the step of a line began: a note of how far it has come does not begin it anew."""
        if self._running and self._running[0].split()[:2] == line.split()[:2]:
            return self._running[1]
        return time.monotonic()

    def _tick(self) -> None:
        while not self._ended.wait(0.5):
            with self._lock:
                if self._running:
                    line, begun = self._running
                    self._terminal.write(f"{_CLEAR_LINE}{line} {time.monotonic() - begun:.0f} s")
                    self._terminal.flush()
