"""Start a model server for the suite, by the flags that ours and the official one share.

`TFS_COMMAND` names another command than ours, for example `tensorflow_model_server`.
"""

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from forecasting.wire.server_process import package_environment

OURS = (sys.executable, "-m", "serving.model_server")
START_S = 120.0


@dataclass
class TestServer:
    """Addresses of a running server, official stubs, and an HTTP client."""

    __test__ = False
    grpc_address: str
    rest_address: str
    process: Any = None
    log: Path | None = None
    channel: grpc.Channel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(
            self.grpc_address, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None):
        """Status, headers (lower-case names) and body."""
        host, _, port = self.rest_address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def post(self, path: str, document: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and parsed body of a POST; bytes and text go as they are."""
        raw = document if isinstance(document, bytes) else document.encode() if isinstance(document, str) else None
        status, _, body = self.ask("POST", path, raw if raw is not None else json.dumps(document).encode(), headers)
        return status, json.loads(body)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and parsed body of a GET."""
        status, _, body = self.ask("GET", path)
        return status, json.loads(body)

    def states(self, model: str) -> dict[int, int]:
        """State by version, empty where the model is not known."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            found = self.models.GetModelStatus(request, timeout=10)
        except grpc.RpcError:
            return {}
        return {entry.version: entry.state for entry in found.model_version_status}

    def wait_states(self, model: str, wanted: dict[int, str], seconds: float = 60.0) -> None:
        """Wait until the versions of a model are in some states."""
        numbers = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
        expected = {version: numbers[state] for version, state in wanted.items()}
        wait_for(lambda: self.states(model) == expected, f"{model} to be {wanted}, is {self.states(model)}", seconds)


def wait_for(condition, what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        pause.wait(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def command() -> list[str]:
    """The server's command."""
    return shlex.split(os.environ["TFS_COMMAND"]) if "TFS_COMMAND" in os.environ else list(OURS)


@contextlib.contextmanager
def started(flags: Sequence[str], log: Path, *, wait: Sequence[str] = ("default",)) -> Iterator[TestServer]:
    """A server with some flags; waits until a version of each named model is available."""
    ports = free_ports(2)
    words = [*command(), f"--port={ports[0]}", f"--rest_api_port={ports[1]}", *flags]
    with log.open("ab") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream, env=package_environment())
    server = TestServer(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", process, log)
    try:
        grpc.channel_ready_future(server.channel).result(timeout=START_S)
        for model in wait:
            wait_for(
                lambda model=model: 30 in server.states(model).values(), f"{model}; {log.read_text()[-2000:]}", START_S
            )
        yield server
    finally:
        server.channel.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(35)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_to_end(flags: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A server that is to fail at its start."""
    if "TFS_GRPC" in os.environ:
        pytest.skip("needs a server with flags of its own; set TFS_COMMAND instead of TFS_GRPC")
    ports = free_ports(2)
    words = [*command(), f"--port={ports[0]}", f"--rest_api_port={ports[1]}", *flags]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=START_S, env=package_environment(), check=False
    )
