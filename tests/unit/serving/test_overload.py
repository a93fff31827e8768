"""More calls than threads: what is refused at once, and what is not computed any more."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.messages import VersionState
from serving.asgi import HttpServer
from serving.model_server.backends import Arrays, Backend
from serving.model_server.executor import LimitsConfig, ModelExecutor
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import ServerMetrics
from serving.model_server.observed import ObservedService
from serving.model_server.rest_app import RestApp, RestConfig
from serving.model_server.served_version import ServedVersion
from serving.model_server.signatures import InputSpec, ServedSignature
from serving.model_server.status import RequestError, StatusCode
from serving.model_server.version_keeper import VersionKeeper
from serving.model_server.version_loading import LoadingConfig

ROWS = InputSpec("x", 1, None)
BODY = b'{"instances": [1.0]}'
REQUEST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class CountingBackend(Backend):
    """Counts its calls; each ends when the gate opens."""

    def __init__(self) -> None:
        self.signatures = {}
        self.gate, self.n_calls = threading.Event(), 0

    def run(self, feeds: Arrays, fetches) -> list[np.ndarray]:
        self.n_calls += 1
        self.gate.wait(10)
        return [np.zeros(1, np.float32)]

    def close(self) -> None:
        pass


def slow_version(backend: Backend, *, call_s: float) -> ServedVersion:
    """A version whose calls have taken so long up to now."""
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    served.pace.expected_s = call_s
    return served


async def _given_up() -> tuple[int, int]:
    """One call runs, one waits and is given up; calls that ran, and calls in flight before the first ended."""
    backend = CountingBackend()
    executor, served = ModelExecutor(LimitsConfig(n_workers=1), ServerMetrics()), slow_version(backend, call_s=0.0)
    running = asyncio.create_task(executor.run(served, {}, ()))
    waiting = asyncio.create_task(executor.run(served, {}, ()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.05)
    n_in_flight = served.n_in_flight
    backend.gate.set()
    await running
    await executor.run(served, {}, ())
    await executor.close(1.0)
    return backend.n_calls, n_in_flight


def test_a_call_whose_client_went_away_while_it_waited_is_never_run():
    n_calls, n_in_flight = asyncio.run(_given_up())
    assert n_calls == 2
    assert n_in_flight == 1


async def _gone_over_rest() -> int:
    """As `_given_up`, by clients of HTTP; calls that ran, the last one asked after the one in the middle had gone."""
    metrics, backend = ServerMetrics(), CountingBackend()
    keeper, executor = VersionKeeper(LoadingConfig(), metrics), ModelExecutor(LimitsConfig(n_workers=1), metrics)
    served = slow_version(backend, call_s=0.0)
    served.signatures = {SERVING_DEFAULT: ServedSignature(SERVING_DEFAULT, "", {"x": ROWS}, {"y": "y"}, {}, None)}
    keeper._versions["m"] = {1: served}
    service = ObservedService(InferenceService(keeper, executor, metrics), metrics, None)
    server = HttpServer(RestApp(RestConfig(), service, None, {}), "127.0.0.1", 0, drain_s=1.0)
    await server.start()

    async def ask(n_in_server: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        while executor.n_requests != n_in_server:
            await asyncio.sleep(0.01)
        return reader, writer

    first, gone = await ask(1), await ask(2)
    gone[1].close()
    while executor.n_requests != 1:
        await asyncio.sleep(0.01)
    last = await ask(2)
    backend.gate.set()
    for reader, writer in (first, last):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
    await server.stop()
    await keeper.close()
    await executor.close(1.0)
    return backend.n_calls


def test_a_call_over_rest_whose_client_went_away_while_it_waited_is_never_run():
    assert asyncio.run(asyncio.wait_for(_gone_over_rest(), 30)) == 2


async def _expected_wait(*, n_ahead: int, call_s: float, left_s: float | None) -> str:
    """Ask with some calls ahead; how it ends."""
    backend = CountingBackend()
    executor, served = ModelExecutor(LimitsConfig(n_workers=1), ServerMetrics()), slow_version(backend, call_s=call_s)
    ahead = [asyncio.create_task(executor.run(served, {}, ())) for _ in range(n_ahead)]
    await asyncio.sleep(0.05)
    start = time.monotonic()
    asked = asyncio.create_task(executor.run(served, {}, (), None if left_s is None else start + left_s))
    await asyncio.sleep(0.05)
    refused = asked.done()
    backend.gate.set()
    (found,) = await asyncio.gather(asked, return_exceptions=True)
    await asyncio.gather(*ahead)
    await executor.close(1.0)
    if isinstance(found, RequestError):
        assert refused
        assert found.code == StatusCode.RESOURCE_EXHAUSTED
        return found.message
    return "answered"


@pytest.mark.parametrize(
    ("n_ahead", "call_s", "left_s", "expected"),
    [
        (0, 100.0, None, "answered"),
        (0, 100.0, 1.0, "answered"),
        (2, 1.0, None, "answered"),
        (4, 1.0, None, "a model call would wait 4 s for its turn, and may wait 3 s; try again"),
        (2, 1.0, 8.0, "answered"),
        (2, 1.0, 2.0, "a model call would wait 2 s for its turn, and may wait 1 s; try again"),
    ],
)
def test_a_call_is_refused_at_once_where_its_turn_would_come_too_late(n_ahead, call_s, left_s, expected):
    assert asyncio.run(_expected_wait(n_ahead=n_ahead, call_s=call_s, left_s=left_s)) == expected


async def _after_the_rush() -> str:
    backend = CountingBackend()
    backend.gate.set()
    executor, served = ModelExecutor(LimitsConfig(n_workers=1), ServerMetrics()), slow_version(backend, call_s=2.0)
    refused = await asyncio.gather(*(executor.run(served, {}, ()) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(found, RequestError) for found in refused) == 3
    await executor.run(served, {}, ())
    await executor.close(1.0)
    return "answered"


def test_what_waited_is_forgotten_when_nothing_waits_any_more():
    assert asyncio.run(_after_the_rush()) == "answered"


def test_the_time_of_a_call_follows_the_last_ones():
    served = slow_version(CountingBackend(), call_s=0.0)
    for _ in range(60):
        served.pace.note(0.02, 8)
    assert served.pace.expected_s == pytest.approx(0.02, rel=0.01)
