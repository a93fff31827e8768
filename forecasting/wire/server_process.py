"""Start the embedded model server as a process of its own and stop it again.

The server's package is named here only on a command line: components may not import it.
"""

import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forecasting.errors import RemoteError, RetryableError

logger = logging.getLogger(__name__)

SERVER_MODULE = "serving.model_server"
_GRPC_LINE = re.compile(r"Running gRPC ModelServer at (\S+)")
_REST_LINE = re.compile(r"Exporting HTTP/REST API at (\S+)")
_START_S = 60.0
STOP_S = 20.0
"""Seconds a server has to end after SIGTERM, before it is killed; less than a run gives to its step."""
_CLOSING_S = 2.0


@dataclass(frozen=True)
class RunningServerRecord:
    """Addresses (`host:port`), process and log of a started server."""

    grpc_address: str
    rest_address: str
    pid: int
    log: Path
    process: subprocess.Popen[str] = field(repr=False)

    def require_alive(self) -> None:
        """Notice a server that ended by itself.

        Raises:
            RemoteError: It did; the message holds the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise RemoteError(f"the model server ended by itself with code {code}: {_tail(self.log)}")


def package_environment() -> dict[str, str]:
    """The environment for a process of ours: the packages beside this one can be imported, installed or not."""
    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": root if not known else os.pathsep.join((root, known))}


@contextmanager
def model_server(flags: Sequence[str], *, log: Path) -> Iterator[RunningServerRecord]:
    """Run a model server while the block runs, on free ports of the loopback where the flags name no others.

    Args:
        flags: Flags of `python -m serving.model_server`; later ones win over the free ports.
        log: File to which the server's log is appended.

    Raises:
        RemoteError: It does not start; the message holds the end of its log.
    """
    # It ends by itself, with what hangs, before it would be killed.
    own = ("--port=0", "--rest_api_port=0", f"--drain_seconds={STOP_S - _CLOSING_S:g}")
    command = [sys.executable, "-m", SERVER_MODULE, *own, *flags]
    with listening_process(command, {"grpc": _GRPC_LINE, "rest": _REST_LINE}, log=log) as (process, addresses):
        yield RunningServerRecord(addresses["grpc"], addresses["rest"], process.pid, log, process)


@contextmanager
def listening_process(
    command: Sequence[str], patterns: Mapping[str, re.Pattern[str]], *, log: Path
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run a process of ours that prints one line a port; yields it and the addresses it printed.

    Args:
        command: Program and arguments.
        patterns: What the lines look like, by name; group 1 is the address.
        log: File to which its standard error is appended.

    Raises:
        RemoteError: It ends before it listens.
        RetryableError: It does not listen in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            list(command),
            stdout=subprocess.PIPE,
            stderr=stream,
            stdin=subprocess.DEVNULL,
            text=True,
            env=package_environment(),
        )
    try:
        yield process, _read_addresses(process, patterns, log)
    finally:
        stop_process(process, timeout_s=STOP_S)


def stop_process(process: subprocess.Popen[str], *, timeout_s: float) -> int:
    """SIGTERM, wait, then SIGKILL; returns the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        logger.warning("process %d did not stop within %g s and is killed", process.pid, timeout_s)
        process.kill()
        return process.wait()


def _read_addresses(
    process: subprocess.Popen[str], patterns: Mapping[str, re.Pattern[str]], log: Path
) -> dict[str, str]:
    lines: queue.Queue[str] = queue.Queue()
    # A thread reads for as long as the process lives, so that its output pipe can never fill up.
    threading.Thread(target=_forward, args=(process, lines), daemon=True).start()
    addresses: dict[str, str] = {}
    deadline = time.monotonic() + _START_S
    while len(addresses) < len(patterns):
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            if process.poll() is not None:
                raise RemoteError(
                    f"{_name(process)} ended at once with code {process.returncode}: {_tail(log)}"
                ) from None
            if time.monotonic() > deadline:
                raise RetryableError(f"{_name(process)} must listen within {_START_S:g} s; its log is {log}") from None
            continue
        addresses |= {name: found.group(1) for name, pattern in patterns.items() if (found := pattern.search(line))}
    logger.info("%s %d listens on %s", _name(process), process.pid, " and ".join(addresses.values()))
    return addresses


def _name(process: subprocess.Popen[str]) -> str:
    words = process.args if isinstance(process.args, list) else [str(process.args)]
    return str(words[2] if len(words) > 2 else words[0])


def _forward(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    if process.stdout is not None:
        # Closed at its end: whoever starts a server again and again would keep a pipe of each.
        with process.stdout as output:
            for line in output:
                lines.put(line)


def _tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return text[-1] if text else "it wrote no log"
