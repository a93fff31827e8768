"""When a refusal is told to a client that may ask again at once."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from forecasting.wire.messages import REFUSE_AT_ONCE
from serving.model_server.executor import LimitsConfig, ModelExecutor
from serving.model_server.grpc_service import GrpcConfig, GrpcServer
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import ServerMetrics
from serving.model_server.observed import GRPC, Observation, ObservedService
from serving.model_server.refusals import LONGEST_S, RefusalPace
from serving.model_server.status import OverloadError, RequestError, StatusCode, invalid
from serving.model_server.version_keeper import VersionKeeper
from serving.model_server.version_loading import LoadingConfig


class StoppedClock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_few_refusals_are_told_at_once_and_more_one_after_another():
    clock = StoppedClock()
    pace = RefusalPace(8.0, clock)
    waits = [pace.wait_s(None) for _ in range(16)]
    assert waits == [0.0] * 8 + [turn / 8 for turn in range(1, 9)]


def test_turns_come_back_with_time_but_never_more_than_a_second_of_them():
    clock = StoppedClock()
    pace = RefusalPace(8.0, clock)
    for _ in range(10):
        pace.wait_s(None)
    clock.now_s += 0.375
    assert [pace.wait_s(None) for _ in range(2)] == [0.0, 0.125]
    clock.now_s += 3_600.0
    assert sum(pace.wait_s(None) == 0.0 for _ in range(30)) == 8


def test_no_refusal_waits_longer_than_the_limit_or_past_the_deadline_of_its_call():
    pace = RefusalPace(8.0, StoppedClock())
    waits = [pace.wait_s(None) for _ in range(1_000)]
    assert max(waits) == LONGEST_S
    assert pace.wait_s(0.25) == pytest.approx(0.2)
    assert pace.wait_s(-1.0) == 0.0


def test_the_limit_holds_soon_after_a_rush_too():
    clock = StoppedClock()
    pace = RefusalPace(8.0, clock)
    for _ in range(1_000):
        pace.wait_s(None)
    clock.now_s += LONGEST_S + 0.2
    assert pace.wait_s(None) == 0.0


def test_without_a_pace_all_are_told_at_once():
    pace = RefusalPace(0.0, StoppedClock())
    assert {pace.wait_s(None) for _ in range(1_000)} == {0.0}


async def _n_waiting(error: RequestError, n_calls: int, **known: Any) -> int:
    """Refuse calls with eight turns a second; how many count as in the server while they wait."""
    metrics = ServerMetrics()
    keeper, executor = VersionKeeper(LoadingConfig(), metrics), ModelExecutor(LimitsConfig(), metrics)
    executor.refusals = RefusalPace(8.0, StoppedClock())
    service = ObservedService(InferenceService(keeper, executor, metrics), metrics, None)

    async def refused() -> None:
        raise error

    calls = [
        asyncio.create_task(service.observe(Observation(model="m", api="Predict", entrypoint=GRPC, **known), refused))
        for _ in range(n_calls)
    ]
    await asyncio.sleep(0.01)
    n_waiting = executor.n_requests
    assert await asyncio.gather(*calls, return_exceptions=True) == [error] * n_calls
    assert executor.n_requests == 0
    await keeper.close()
    await executor.close(1.0)
    return n_waiting


def test_calls_refused_for_want_of_room_wait_for_their_turn_and_count_as_in_the_server():
    assert asyncio.run(_n_waiting(OverloadError(StatusCode.RESOURCE_EXHAUSTED, "too many"), 11)) == 3


def test_where_the_deadline_is_over_no_refusal_waits():
    overload = OverloadError(StatusCode.RESOURCE_EXHAUSTED, "too many")
    assert asyncio.run(_n_waiting(overload, 11, deadline_s=0.0)) == 0


def test_a_client_that_does_not_ask_again_is_told_at_once():
    overload = OverloadError(StatusCode.RESOURCE_EXHAUSTED, "too many")
    assert asyncio.run(_n_waiting(overload, 11, is_patient=lambda: False)) == 0
    assert asyncio.run(_n_waiting(overload, 11, is_patient=lambda: True)) == 3


class PatientService:
    """Answers with what it is told of the client's patience."""

    inference = SimpleNamespace(metadata=None)
    classify = regress = multi_inference = None

    async def predict(self, _call: object, _deadline_s: float | None, is_patient: Callable[[], bool]) -> bytes:
        return str(is_patient()).encode()


async def _told(metadata: tuple[tuple[str, str], ...]) -> bytes:
    server = GrpcServer(GrpcConfig("127.0.0.1:0"), PatientService(), SimpleNamespace(status=None))
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        found = await channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"", metadata=metadata)
    await server.stop(0)
    return bytes(found)


def test_a_client_says_by_metadata_that_it_does_not_ask_again():
    assert asyncio.run(_told((("x-request-id", "1"),))) == b"True"
    assert asyncio.run(_told(((REFUSE_AT_ONCE, "1"),))) == b"False"


def test_other_refusals_wait_for_nothing():
    assert asyncio.run(_n_waiting(invalid("no such input"), 11)) == 0
