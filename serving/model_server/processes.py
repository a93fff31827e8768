"""Several processes that share the ports: `--num_processes`.

The first process binds both ports without listening, which settles their numbers, and starts the others.
Each of those loads the models before it listens, so that the system never hands it a request too early. One
that ends by itself is started again; one that ends at its start, before it listens, ends the whole server.
"""

import logging
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forecasting.errors import ConfigError
from forecasting.wire.messages import ModelServerConfig
from forecasting.wire.server_process import stop_process
from serving.model_server.flags import ServerConfig, host_of
from serving.model_server.server import announce_lines, say
from serving.model_server.siblings import keep_current
from serving.model_server.text_files import read_text_file

logger = logging.getLogger(__name__)

_SETTLED_S = 5.0
_LOOK_S = 0.2


@dataclass
class _Worker:
    index: int
    process: subprocess.Popen[str]
    begun_s: float
    listening: threading.Event


def run_processes(config: ServerConfig, arguments: Sequence[str]) -> int:
    """Run until SIGTERM; returns the exit code.

    Args:
        config: Resolved flags.
        arguments: The same as words, for the other processes.

    Raises:
        ConfigError: A port is taken.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as kept:
        ports = [kept.enter_context(_reserved(config.bind_address, config.port))]
        if config.rest_api_port is not None:
            ports.append(kept.enter_context(_reserved(config.bind_address, config.rest_api_port)))
        numbers = [int(one.getsockname()[1]) for one in ports]
        folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="almanac-server-"))
        if config.model_config_file is not None:
            # Every process begins with the same file, whatever becomes of it in the meantime.
            first = read_text_file(config.model_config_file, ModelServerConfig)
            keep_current(Path(folder), first.SerializeToString())
        words = [*arguments, f"--port={numbers[0]}", f"--worker_folder={folder}"]
        if len(numbers) > 1:
            words.append(f"--rest_api_port={numbers[1]}")
        workers = [_start(index, words) for index in range(config.n_processes)]
        try:
            return _watch(workers, words, config, numbers, stop)
        finally:
            deadline_s = time.monotonic() + config.drain_s
            for worker in workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGTERM)
            for worker in workers:
                stop_process(worker.process, timeout_s=max(0.0, deadline_s - time.monotonic()))


def _watch(
    workers: list[_Worker], words: Sequence[str], config: ServerConfig, ports: Sequence[int], stop: threading.Event
) -> int:
    announced = False
    while not stop.wait(_LOOK_S):
        if not announced and all(worker.listening.is_set() for worker in workers):
            announced = True
            for line in announce_lines(config, ports[0], ports[1] if len(ports) > 1 else None):
                say(line)
        for place, worker in enumerate(workers):
            if (code := worker.process.poll()) is None:
                continue
            if not worker.listening.is_set() and time.monotonic() - worker.begun_s < _SETTLED_S:
                logger.error("process %d ended at its start, with code %d; stopping", worker.index, code)
                return code or 1
            logger.error("process %d ended by itself with code %d and is started again", worker.index, code)
            workers[place] = _start(worker.index, words)
    return 0


def _start(index: int, words: Sequence[str]) -> _Worker:
    command = [sys.executable, "-m", "serving.model_server", *words, "--num_processes=1", f"--worker_index={index}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    worker = _Worker(index, process, time.monotonic(), threading.Event())
    threading.Thread(target=_read_lines, args=(worker,), daemon=True).start()
    return worker


def _read_lines(worker: _Worker) -> None:
    """The lines of a process say that it listens; they are told on once all do."""
    if worker.process.stdout is not None:
        for _ in worker.process.stdout:
            worker.listening.set()


def _reserved(address: str, port: int) -> socket.socket:
    """A socket that holds a port for all processes and never listens."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    # Without sharing first: a port that another server holds must be refused, not shared with it.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if port:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((address, port))
    except OSError as error:
        one.close()
        raise ConfigError(f"cannot listen on {host_of(address)}:{port}: {error.strerror or error}") from error
    return one
