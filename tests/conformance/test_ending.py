"""SIGTERM: what is in flight is answered, what hangs holds nothing up. TensorFlow Serving has no such end."""

import os
import signal
import socket
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conformance.running import wait_for
from tests.conformance.test_e_grpc import predict_request, tensor

pytestmark = pytest.mark.skipif("TFS_COMMAND" in os.environ, reason="only our own server ends on SIGTERM")
NEVER, A_WHILE = 1e9, 20_000.0


def _ask(server, steps):
    """A request of a model that takes some steps, on a thread; the thread and what it will get."""
    got = []

    def call():
        try:
            answer = server.prediction.Predict(predict_request({"x": tensor([steps])}), timeout=60)
            got.append(list(answer.outputs["y"].float_val))
        except grpc.RpcError as error:
            got.append(error.code())

    thread = threading.Thread(target=call)
    thread.start()
    return thread, got


def _held_connections(server, stack):
    """A connection that waits for another request, and one that never sends the rest of its body."""
    host, _, port = server.rest_address.rpartition(":")
    for text in (
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /v1/models/default:predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    ):
        one = socket.create_connection((host, int(port)))
        stack.append(one)
        one.sendall(text)
    assert stack[0].recv(100).startswith(b"HTTP/1.1 200")


def _watch(server, stack):
    """A health stream that stays open."""
    channel = grpc.insecure_channel(server.grpc_address)
    stack.append(channel)
    stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
    return stream


def test_a_request_in_flight_is_answered_and_the_process_ends_with_zero(own_server, models):
    with own_server(f"--model_base_path={models / 'slow'}") as server:
        thread, got = _ask(server, A_WHILE)
        wait_for(lambda: b"in_flight{} 1" in server.ask("GET", "/metrics")[2] or got, "the request to begin")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(40) == 0
        thread.join()
        assert len(got[0]) == 1


@pytest.mark.parametrize("n_processes", [1, 2])
def test_calls_streams_and_connections_that_hang_do_not_hold_the_end_up(own_server, models, n_processes):
    stack = []
    flags = [f"--model_base_path={models / 'slow'}", "--enable_grpc_healthcheck_service", "--drain_seconds=4"]
    with own_server(*flags, f"--num_processes={n_processes}") as server:
        thread, got = _ask(server, NEVER)
        _held_connections(server, stack)
        stream = _watch(server, stack)
        wait_for(lambda: b"in_flight{} 1" in server.ask("GET", "/metrics")[2], "the request to begin")
        server.process.send_signal(signal.SIGTERM)
        assert next(stream).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.process.wait(10) == 0
        thread.join()
        assert got[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    for one in stack:
        one.close()
