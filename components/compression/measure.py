"""Latency, throughput, load time and memory of models, each in a fresh process, all in turns; sizes of files.

Processes import their runtimes side by side, then load their models one after another, then do rounds in turns, so that whatever
else the machine does hits all alike: ratios between them count, not the milliseconds themselves. One that gives no answer in time
is ended and named.
"""

import gzip
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from components.compression.measure_process import LITE, SAVED_MODEL
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs

logger = logging.getLogger(__name__)

N_ROUNDS = 12
"""Rounds of each model."""
BATCHES = (1, 32, 256)
"""Windows of one call whose throughput is measured."""
_CALLS = {1: 15, 32: 2, 256: 1}
"""Calls in a round."""
_SKIPS = {1: 1, 32: 2, 256: 4}
"""A batch is measured in every round, in every second or in every fourth."""
READY_LIMIT_S = 180.0
"""Seconds that a process may take to import its runtime, beside others that do."""
ANSWER_LIMIT_S = 60.0
"""Seconds that loading a model, or one round, may take."""
END_LIMIT_S = 10.0
"""Seconds that a process may take to end once it says nothing more."""
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LatencyReport:
    """What one model took where it is served.

    p50_ms, p99_ms: wall milliseconds of one forecast, one after the other. forecasts_per_s: by batch size, from the median call.
    load_s: from the file to the first forecast, the import of the runtime not counted. peak_memory_bytes: highest resident
    memory (VmHWM) over that before the model was loaded; none where the system does not tell.
    """

    p50_ms: float
    p99_ms: float
    forecasts_per_s: Mapping[int, float]
    load_s: float
    peak_memory_bytes: int | None


@dataclass
class _Runner:
    process: subprocess.Popen[bytes]
    unread: bytes = b""
    times_ms: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})
    load_s: float = 0.0


class Stopwatch:
    """Processes that each hold one model, to be measured in turns; a context that ends them all."""

    def __init__(self, windows: ModelInputs, folder: Path, *, limit_s: float = ANSWER_LIMIT_S) -> None:
        """Write the windows where the processes find them.

        Args:
            windows: Asked with, over and over.
            folder: Existing folder for their file and the log of each process.
            limit_s: Seconds that loading a model, or one round, may take.
        """
        self._folder, self._limit_s = folder, limit_s
        self._windows = folder / "windows.npz"
        with self._windows.open("wb") as stream:
            np.savez(stream, **windows.as_dict())  # type: ignore[arg-type]
        self._runners: dict[str, _Runner] = {}
        self.failures: dict[str, str] = {}
        """Models that could not be loaded or run, and why."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runner in self._runners.values():
            runner.process.kill()
            runner.process.wait()
            for stream in (runner.process.stdin, runner.process.stdout):
                if stream is not None:
                    stream.close()

    def start(self, name: str, path: Path, *, kind: str | None = None) -> None:
        """Start the process of a model; its runtime is imported while this one goes on.

        Args:
            name: By which it is measured.
            path: A SavedModel directory or a TensorFlow Lite file.
            kind: Of `measure_process`; none: by what the path is.
        """
        chosen = kind or (SAVED_MODEL if path.is_dir() else LITE)
        command = [
            sys.executable,
            "-m",
            "components.compression.measure_process",
            chosen,
            str(path),
            str(self._windows),
        ]
        with self._log(name).open("w", encoding="utf-8") as log:
            self._runners[name] = _Runner(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=_PROJECT)
            )

    def measure(self, *, needed: str = "") -> dict[str, LatencyReport]:
        """Reports of all models that were started, by name; why others have none is in `failures`.

        Args:
            needed: A model without which there is no result.

        Raises:
            ArtifactError: The needed model cannot be loaded or run; the message has the last line of its log.
        """
        # Load times are those of one model at a time: no runtime is still being imported, no other model loaded meanwhile.
        self._each(self._ready)
        self._each(self._load)
        for number in range(N_ROUNDS):
            logger.info("round %d of %d of %d models", number + 1, N_ROUNDS, len(self._runners))
            for batch in BATCHES:
                if number % _SKIPS[batch] == 0:
                    self._each(partial(self._round, batch))
        found: dict[str, LatencyReport] = {}
        self._each(lambda name: found.update({name: self._report(name)}))
        if needed in self.failures:
            raise ArtifactError(self.failures[needed])
        return found

    def _each(self, call: Callable[[str], None]) -> None:
        """Call with the name of every model that still answers."""
        for name in self._runners:
            if name not in self.failures:
                try:
                    call(name)
                except ArtifactError as error:
                    self.failures[name] = str(error)

    def _ready(self, name: str) -> None:
        self._answer(name, "the import of its runtime", limit_s=READY_LIMIT_S)

    def _load(self, name: str) -> None:
        self._ask(name, {"load": True})
        self._runners[name].load_s = self._answer(name, "loading")["load_s"]

    def _round(self, batch: int, name: str) -> None:
        self._ask(name, {"batch": batch, "n": _CALLS[batch]})
        self._runners[name].times_ms[batch] += self._answer(name, f"calls with {batch} windows")["times_ms"]

    def _report(self, name: str) -> LatencyReport:
        runner = self._runners[name]
        _stream(runner.process.stdin).close()
        peak = self._answer(name, "the end")["peak_memory_bytes"]
        ended(runner.process)
        single = runner.times_ms[1]
        return LatencyReport(
            p50_ms=round(float(np.percentile(single, 50)), 4),
            p99_ms=round(float(np.percentile(single, 99)), 4),
            forecasts_per_s={
                batch: round(1e3 * batch / float(np.median(times)), 1) for batch, times in runner.times_ms.items()
            },
            load_s=round(runner.load_s, 4),
            peak_memory_bytes=peak,
        )

    def _ask(self, name: str, request: Mapping[str, Any]) -> None:
        requests = _stream(self._runners[name].process.stdin)
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        except BrokenPipeError as error:
            raise self._failure(name) from error

    def _answer(self, name: str, what: str, *, limit_s: float | None = None) -> dict[str, Any]:
        """The next line of a process; one that says nothing in time is ended."""
        runner, limit = self._runners[name], self._limit_s if limit_s is None else limit_s
        answers = _stream(runner.process.stdout).fileno()
        end = time.monotonic() + limit
        while b"\n" not in runner.unread:
            if not select.select([answers], [], [], max(0.0, end - time.monotonic()))[0]:
                runner.process.kill()
                raise ArtifactError(
                    f"{name} cannot be measured: {what} must take {limit:.0f} s at most, and its process gave no answer; it was ended"
                )
            read = os.read(answers, 1 << 16)
            if not read:
                raise self._failure(name)
            runner.unread += read
        line, _, runner.unread = runner.unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, name: str) -> ArtifactError:
        code = ended(self._runners[name].process)
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return ArtifactError(f"{name} cannot be measured: its process ended with {code}: {lines[-1] if lines else ''}")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def ended(process: subprocess.Popen[bytes], *, limit_s: float = END_LIMIT_S) -> int:
    """Exit status of a process that has nothing more to say; one that goes on all the same is killed.

    Args:
        process: It closed its answers, or gave the last one.
        limit_s: Seconds that it has to end by itself.
    """
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        # A runtime may hang in its own threads while it ends, and nothing more is to be had from it.
        process.kill()
        return process.wait()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ArtifactError("a process that measures must have pipes; it was started without")
    return stream


def file_sizes(path: Path) -> tuple[int, int]:
    """Size of a file and of the same gzipped, bytes."""
    content = path.read_bytes()
    return len(content), len(gzip.compress(content, compresslevel=6, mtime=0))


def directory_sizes(directory: Path) -> tuple[int, int]:
    """Sizes of all files below a directory together, bytes."""
    sizes = [file_sizes(path) for path in sorted(directory.rglob("*")) if path.is_file()]
    return sum(size for size, _ in sizes), sum(compressed for _, compressed in sizes)
