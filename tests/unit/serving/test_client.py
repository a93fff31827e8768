"""The clients of the gateway: what they send and give against a running one, and when they try again."""

import asyncio
import http.server
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting.errors import ConfigError, RemoteError, RetryableError
from serving.client import AsyncGatewayClient, GatewayClient, GatewayRefusalError, GatewayUnreachableError, RetryPolicy
from serving.client.exchange import CallSpec, Pause, Send, attempts
from serving.client.retries import Retries
from serving.client.time_left import TimeLeft

QUICK = RetryPolicy(first_pause_s=0.001)
HISTORY = {
    "series": ["a", "a", "a", "a", "a"],
    "timestamp": pd.date_range("2014-01-02T14:00", periods=5, freq="h", tz="UTC"),
    "Demand": [50.0, 52.0, None, None, None],
    "Temperature": [1.0, 3.0, 5.0, 6.0, 7.0],
}
SAME = {
    "history": {"a": {"start": "2014-01-02T14:00:00Z", "values": {"Demand": [50, 52], "Temperature": [1, 3]}}},
    "known": {"a": {"Temperature": [5, 6, 7]}},
}


def test_a_data_frame_in_is_a_data_frame_out(address):
    with GatewayClient(f"http://{address}/") as client:
        found = client.forecast(history=pd.DataFrame(HISTORY), quantiles=[0.1, 0.9], request_id="order-17")
        same = client.forecast(**SAME)
    frame = found.to_pandas()
    assert (found.model, found.version, found.target, found.step_s, found.request_id) == ("tiny", 1, "Demand", 3600, "order-17")  # fmt: skip
    assert list(frame["timestamp"]) == list(pd.date_range("2014-01-02T16:00", periods=3, freq="h", tz="UTC"))
    assert [name for name in frame if name.startswith("q")] == ["q0.1", "q0.9"]
    np.testing.assert_array_equal(frame["point"], same.to_pandas()["point"])
    assert frame["series"].tolist() == ["a"] * 3


def test_the_asynchronous_client_gives_the_same(address):
    async def ask():
        async with AsyncGatewayClient(f"http://{address}") as client:
            found = await client.forecast(history=pa.table(HISTORY))
            return found, await client.model("tiny"), await client.series()

    found, model, series = asyncio.run(ask())
    with GatewayClient(f"http://{address}") as client:
        assert found.table.equals(client.forecast(history=pa.table(HISTORY)).table)
        assert (model, series) == (client.model("tiny"), client.series())
    assert (model["horizon"], series[0]["id"]) == (3, "a")


def test_all_series_come_with_the_reasons_of_those_that_are_skipped(address):
    with GatewayClient(f"http://{address}") as client:
        found = client.forecast()
    assert found.table["series"].to_pylist() == ["a"] * 3 + ["b"] * 3
    assert "never cover 3 steps" in found.skipped["c"]


def test_an_origin_is_a_time_with_a_zone(address):
    with GatewayClient(f"http://{address}") as client:
        moment = datetime(2014, 1, 2, tzinfo=UTC)
        assert client.forecast(["a"], origin=moment).table["origin"][0].as_py() == moment
        table = pa.table({"series": ["a"]})
        assert client.forecast(history=table, origin=moment, fallback=False).table["origin"][0].as_py() == moment
        with pytest.raises(ConfigError, match="origin must have a time zone"):
            client.forecast(["a"], origin=datetime(2014, 1, 2))  # noqa: DTZ001
        with pytest.raises(ConfigError, match="must not be given beside a table"):
            client.forecast(["a"], history=table)


def test_a_refusal_says_what_it_is_about(address):
    with GatewayClient(f"http://{address}") as client, pytest.raises(GatewayRefusalError) as found:
        client.forecast(history={"a": {"start": "2014-01-02T14:00:00Z", "values": {"Wind": [1]}}}, request_id="r1")
    assert (found.value.status, found.value.series, found.value.column, found.value.request_id) == (400, "a", "Wind", "r1")  # fmt: skip
    assert "answers 400: 'history' must have columns among" in str(found.value)


def test_nothing_at_the_endpoint_is_said_after_the_last_attempt():
    with GatewayClient("http://127.0.0.1:1", retries=QUICK) as client, pytest.raises(GatewayUnreachableError):
        client.forecast()
    with pytest.raises(ConfigError, match="must be a URL"):
        GatewayClient("127.0.0.1:8080")


@pytest.fixture
def moody():
    """A server that answers with the statuses of a list, one after another, then by 200; and what it was sent."""
    statuses, seen = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers.get("authorization"))
            status = statuses.pop(0) if statuses else 200
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", statuses, seen
        server.shutdown()


def test_a_passing_condition_is_outwaited_and_another_is_not(moody):
    endpoint, statuses, seen = moody
    with GatewayClient(endpoint, retries=QUICK, token="one") as client:
        statuses[:] = [503, 429]
        assert client.model("tiny") == {}
        assert seen == ["Bearer one"] * 3
        statuses[:] = [503] * 9
        with pytest.raises(RetryableError, match="answers 503"):
            client.model("tiny")
        assert len(seen) == 3 + 4
        statuses[:] = [502]
        with pytest.raises(RemoteError, match="answers 502"):
            client.model("tiny")
        assert len(seen) == 3 + 4 + 1


def test_the_token_is_that_of_the_environment_where_none_is_given(moody, monkeypatch):
    endpoint, _, seen = moody
    monkeypatch.setenv("ALMANAC_TOKEN", "two")
    with GatewayClient(endpoint) as client:
        client.model("tiny")
    asyncio.run(_ask_once(endpoint))
    assert seen == ["Bearer two", "Bearer two"]


async def _ask_once(endpoint):
    async with AsyncGatewayClient(endpoint) as client:
        await client.model("tiny")


def _steps(outcomes, *, policy=None, deadline_s=10.0):
    """What a flow does for some outcomes; each attempt takes a second of its clock, a pause as long as it says."""
    now, taken = [0.0], []
    retries = Retries(policy or RetryPolicy(), draw=lambda: 1.0)
    steps = attempts("http://here", retries, deadline_s=deadline_s, clock=lambda: now[0])
    step, left = next(steps), list(outcomes)
    try:
        while True:
            taken.append(step)
            now[0] += step.seconds if isinstance(step, Pause) else 1.0
            step = steps.send(None if isinstance(step, Pause) else left.pop(0))
    except StopIteration:
        return taken, None
    except (RetryableError, RemoteError) as error:
        return taken, error


def _busy(**headers):
    return httpx.Response(429, headers=headers, content=b"{}")


def test_pauses_double_and_the_deadline_is_of_all_together():
    taken, error = _steps([_busy()] * 4)
    assert [step.seconds for step in taken if isinstance(step, Pause)] == [0.1, 0.2, 0.4]
    assert [step.timeout_s for step in taken if isinstance(step, Send)] == pytest.approx([10, 8.9, 7.7, 6.3])
    assert isinstance(error, RetryableError)


def test_what_the_gateway_asks_to_wait_is_waited_unless_the_deadline_comes_first():
    taken, error = _steps([_busy(**{"retry-after": "3"}), httpx.Response(200)])
    assert (taken[1], error) == (Pause(3.0), None)
    taken, error = _steps([_busy(**{"retry-after": "9"})])
    assert len(taken) == 1
    assert isinstance(error, RetryableError)


def test_no_answer_in_time_is_not_tried_again():
    taken, error = _steps([httpx.ReadTimeout("slow")])
    assert len(taken) == 1
    assert "must answer within 10 s" in str(error)


@contextmanager
def _trickling():
    """Address of a server that sends a byte of an endless answer now and then, until its client goes away."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                pause = threading.Event()
                try:
                    while not pause.wait(0.05):
                        connection.sendall(b" ")
                except OSError:
                    return

        done = thread.submit(answer)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.result(30)


def test_the_deadline_is_of_the_whole_answer_and_not_of_a_part_of_it():
    with _trickling() as url, GatewayClient(url) as client, pytest.raises(RetryableError, match=r"within 0\.5 s"):
        client.call(CallSpec("GET", "/v1/series"), deadline_s=0.5)


def test_connecting_writing_and_reading_share_one_time():
    now = [0.0]
    left = TimeLeft(2.0, clock=lambda: now[0])
    assert left.get("connect") == 2.0
    now[0] = 1.5
    assert (left.get("write"), left.get("read"), left.is_over) == (0.5, 0.5, False)
    now[0] = 2.0
    assert (left.get("read"), left.is_over) == (0.001, True)


@contextmanager
def _late(n_bytes):
    """Address of a server that reads a request late, and answers late again; either alone is in time."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def answer() -> None:
            pause = threading.Event()
            connection, _ = listener.accept()
            with connection:
                pause.wait(0.4)
                try:
                    n_read = 0
                    while n_read < n_bytes and (read := connection.recv(1 << 20)):
                        n_read += len(read)
                    pause.wait(0.4)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                except OSError:
                    return

        done = thread.submit(answer)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.result(30)


def test_a_request_that_is_written_late_leaves_less_time_for_its_answer():
    # More than the buffers of a connection hold: writing it waits for the server to read.
    body = bytes(1 << 25)
    with _late(len(body)) as url, GatewayClient(url) as client, pytest.raises(RetryableError, match=r"within 0\.6 s"):
        client.call(CallSpec("POST", "/v1/forecast", body), deadline_s=0.6)


@pytest.mark.parametrize("deadline_s", [0, -1.0, float("nan")])
def test_a_deadline_of_no_time_is_refused_and_not_taken_for_the_default(deadline_s):
    with pytest.raises(ConfigError, match="deadline_s must be more than 0 seconds"):
        GatewayClient("http://127.0.0.1:1", deadline_s=deadline_s)
    with GatewayClient("http://127.0.0.1:1") as client, pytest.raises(ConfigError, match="must be more than 0"):
        client.call(CallSpec("GET", "/v1/series"), deadline_s=deadline_s)


def test_a_client_of_a_gateway_in_trouble_sends_a_tenth_more_and_no_multiple():
    retries = Retries(RetryPolicy(budget=2), draw=lambda: 1.0)
    assert [retries.pause_s(1, asked_s=0, left_s=9) is not None for _ in range(3)] == [True, True, False]
    for _ in range(10):
        retries.succeeded()
    assert [retries.pause_s(1, asked_s=0, left_s=9) is not None for _ in range(2)] == [True, False]
