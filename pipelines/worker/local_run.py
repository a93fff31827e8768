"""Runs of the pipeline for requests, as processes of this machine."""

import logging
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forecasting.contracts.layout import HomeLayout
from pipelines.run import STOP_GRACE_S, step_environment

logger = logging.getLogger(__name__)

_MODULE = "pipelines.worker.attended_run"
_RUN_LINE = re.compile(r"^run (\S+)\n", flags=re.MULTILINE)
_PART_BYTES = 65_536
"""Read of the head of what a run prints, where its name is, and of the tail with the last line."""
_AGAIN_S, _KILL_S = STOP_GRACE_S + 5, 10.0
STOP_S = _AGAIN_S + _KILL_S
"""Stopping a run takes no longer: the grace of its steps, then a second signal, which kills them, and then the run is killed."""


@dataclass(frozen=True)
class AskedRunSpec:
    """A run that a request asks for.

    request: names the request, the same however often it is tried. cutoff: ISO 8601 time with zone. words: of `almanac run`
    that name the configuration. run: of the request, where it had one before. resumable: whether that run lies in this home and
    had this configuration.
    """

    request: str
    cutoff: str
    words: tuple[str, ...]
    run: str | None = None
    resumable: bool = False


class RunProcess(Protocol):
    """A run that was started."""

    @property
    def run(self) -> str | None:
        """Name of the run; none as long as it is not known."""

    @property
    def last_line(self) -> str:
        """The last line that it printed to stderr."""

    def poll(self) -> int | None:
        """The exit code, 128 + the number of the signal that ended it; none while it goes on."""

    def stop(self) -> int:
        """End it, so that whoever takes the request over can go on with it; the exit code."""


class RunLauncher(Protocol):
    """Starts runs."""

    def start(self, asked: AskedRunSpec) -> RunProcess:
        """Start the run that is asked for, or go on with the one that the request had."""


class _LocalProcess:
    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self.process, self.errors = process, errors
        self._run: str | None = None

    @property
    def run(self) -> str | None:
        if self._run is None and (found := _RUN_LINE.search(self._text(0))):
            self._run = found[1]
        return self._run

    @property
    def last_line(self) -> str:
        lines = self._text(max(0, self.errors.stat().st_size - _PART_BYTES)).strip().splitlines()
        return lines[-1] if lines else ""

    def poll(self) -> int | None:
        code = self.process.poll()
        return None if code is None else _exit_code(code)

    def stop(self) -> int:
        for patience_s in (_AGAIN_S, _KILL_S):
            self.process.send_signal(signal.SIGTERM)
            try:
                return _exit_code(self.process.wait(patience_s))
            except subprocess.TimeoutExpired:
                logger.warning("process %d is still going %g s after SIGTERM", self.process.pid, patience_s)
        self.process.kill()
        return _exit_code(self.process.wait())

    def _text(self, first: int) -> str:
        """A part of what was printed; it may be long, and is asked for twice a second."""
        with self.errors.open("rb") as file:
            file.seek(first)
            return file.read(_PART_BYTES).decode(errors="replace")


@dataclass(frozen=True)
class LocalLauncher:
    """Starts runs here. module: takes the words of `almanac`, and stops when its standard input ends."""

    home: HomeLayout
    module: str = _MODULE

    def start(self, asked: AskedRunSpec) -> RunProcess:
        """Start `almanac run`, or `almanac run --resume`; what it prints is in `logs/` of the state directory until the next one begins."""
        resumed = ["--resume", asked.run] if asked.run is not None and asked.resumable else None
        words = resumed or [*asked.words, "--cutoff", asked.cutoff]
        logs = self.home.root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", self.module, "--home", str(self.home.root), "run", *words]
        errors = logs / "worker_run.err"
        with step_environment(self.home), (logs / "worker_run.out").open("wb") as out, errors.open("wb") as err:
            # The pipe is never written to; its end tells the run that the worker is gone.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
        return _LocalProcess(process, errors)


def _exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code
