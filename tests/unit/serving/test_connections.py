"""Connections that send nothing, half a head, or something that is no HTTP."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import model_server
from serving.asgi import HttpServer
from tests.unit.serving import tiny_models

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD_S = 1.0


async def application(scope, receive, send) -> None:
    """Answers every request after a time that is longer than a head may take, where it is asked to."""
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * HEAD_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port() -> Iterator[int]:
    """A server in a loop of its own."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), list[HttpServer]()

    async def start() -> None:
        found.append(HttpServer(application, "127.0.0.1", 0, drain_s=1.0, head_s=HEAD_S))
        await found[0].start()
        ready.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield found[0].port
    asyncio.run_coroutine_threadsafe(found[0].stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answer(one: socket.socket) -> bytes:
    """A whole answer: head and body may come apart."""
    found = b""
    while not found.endswith(b"\r\n\r\nok"):
        part = one.recv(1_000)
        assert part, f"the connection was closed after {found!r}"
        found += part
    return found


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: h\r\nX: "])
def test_a_connection_without_a_whole_head_is_closed_after_a_time(port, sent):
    with connected(port) as one:
        one.sendall(sent)
        start = time.monotonic()
        assert one.recv(100) == b""
        assert time.monotonic() - start > 0.9 * HEAD_S


def dribble(one: socket.socket) -> None:
    """Send a head without an end for ten seconds."""
    one.sendall(b"GET /")
    for _ in range(200):
        time.sleep(0.05)
        one.sendall(b"x")


def test_a_head_that_comes_a_byte_at_a_time_is_closed_too(port):
    with connected(port) as one, pytest.raises(OSError, match=r"[Bb]roken pipe|reset by peer"):
        dribble(one)


def test_an_answer_may_take_longer_than_a_head(port):
    with connected(port) as one:
        one.sendall(REQUEST.replace(b"/ ", b"/slow ", 1))
        assert answer(one).startswith(b"HTTP/1.1 200")


def test_a_connection_that_was_answered_stays_open_for_the_next_request(port):
    with connected(port) as one:
        for pause_s in (0.0, 3 * HEAD_S):
            time.sleep(pause_s)
            one.sendall(REQUEST)
            assert answer(one).startswith(b"HTTP/1.1 200")


def hello() -> bytes:
    """What a client of TLS sends first."""
    out = ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), out, server_hostname="h")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_tls_and_silence_on_the_plain_ports_leave_others_their_answers(models: Path, tmp_path: Path):
    base = tmp_path / "base"
    tiny_models.write_version(models, base / "1", factor=1, lite=True)
    flags = ["--model_name=m", f"--model_base_path={base}", "--prefer_tflite_model"]
    with model_server(flags, log=tmp_path / "log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available("m", 1)
        ports = [int(address.rpartition(":")[2]) for address in (server.grpc_address, server.rest_address)]
        silent = [connected(port) for port in ports for _ in range(100)]
        try:
            for port in ports:
                with connected(port) as one:
                    one.sendall(hello())
                    # The plain ports say that this is none of theirs, or nothing, and close.
                    while one.recv(1_000):
                        continue
            assert client.predict("m", tiny_models.window().as_dict()).version == 1
        finally:
            for one in silent:
                one.close()
        assert server.process.poll() is None
