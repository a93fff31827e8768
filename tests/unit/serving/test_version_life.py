"""The life of a version, with a backend whose calls end when the test says so."""

import asyncio
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from forecasting.wire.messages import ClassificationRequest, ClassificationResponse, VersionState
from serving.model_server.backends import Arrays, Backend, BackendConfig
from serving.model_server.batching import BatchingConfig
from serving.model_server.executor import LimitsConfig, ModelExecutor
from serving.model_server.metrics import ServerMetrics
from serving.model_server.model_specs import ServedModelSpec, VersionPolicySpec, present_versions, read_model_config
from serving.model_server.request_log import RequestLog
from serving.model_server.served_version import N_QUICK, Pace, ServedVersion
from serving.model_server.status import OverloadError, RequestError, StatusCode
from serving.model_server.version_keeper import VersionKeeper
from serving.model_server.version_loading import LoadingConfig
from tests.unit.serving import tiny_models


class _GatedBackend(Backend):
    """Runs until the gate opens; remembers what it was doing when it was closed."""

    def __init__(self) -> None:
        self.signatures = {}
        self.gate, self.running, self.closed_while_running = threading.Event(), False, None

    def run(self, feeds: Arrays, fetches) -> list[np.ndarray]:
        self.running = True
        self.gate.wait(10)
        self.running = False
        return [np.zeros(1, np.float32)]

    def close(self) -> None:
        self.closed_while_running = self.running


def _served(keeper: VersionKeeper, backend: Backend) -> ServedVersion:
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    keeper._versions["m"] = {1: served}
    return served


async def _unload_under_a_call(*, give_up: bool) -> _GatedBackend:
    metrics, backend = ServerMetrics(), _GatedBackend()
    keeper, executor = VersionKeeper(LoadingConfig(), metrics), ModelExecutor(LimitsConfig(), metrics)
    served = _served(keeper, backend)
    call = asyncio.create_task(executor.run(served, {}, ("quantiles",)))
    while not backend.running:
        await asyncio.sleep(0.01)
    if give_up:
        call.cancel()
    keeper.poll()
    await asyncio.sleep(0.1)
    assert served.state == VersionState.UNLOADING
    assert backend.closed_while_running is None
    backend.gate.set()
    while served.state != VersionState.END:
        await asyncio.sleep(0.01)
    await asyncio.gather(call, return_exceptions=True)
    await keeper.close()
    await executor.close(1.0)
    return backend


def test_a_version_is_closed_only_after_its_last_request():
    assert asyncio.run(_unload_under_a_call(give_up=False)).closed_while_running is False


def test_a_version_is_not_closed_under_a_call_whose_client_went_away():
    assert asyncio.run(_unload_under_a_call(give_up=True)).closed_while_running is False


async def _overload() -> RequestError:
    metrics, backend = ServerMetrics(), _GatedBackend()
    executor = ModelExecutor(LimitsConfig(n_workers=1, max_queued=1), metrics)
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    calls = [asyncio.create_task(executor.run(served, {}, ("quantiles",))) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(RequestError) as caught:
        await executor.run(served, {}, ("quantiles",))
    backend.gate.set()
    await asyncio.gather(*calls)
    await executor.close(1.0)
    return caught.value


def test_more_calls_than_may_wait_are_refused_at_once():
    assert asyncio.run(_overload()).code == StatusCode.RESOURCE_EXHAUSTED


async def _late() -> RequestError:
    backend = _GatedBackend()
    executor = ModelExecutor(LimitsConfig(), ServerMetrics())
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    with pytest.raises(RequestError) as caught:
        await executor.run(served, {}, ("quantiles",), time.monotonic() + 0.05)
    backend.gate.set()
    await executor.close(1.0)
    return caught.value


def test_a_deadline_ends_the_wait():
    assert asyncio.run(_late()).code == StatusCode.DEADLINE_EXCEEDED


async def _late_inline() -> RequestError:
    backend = _GatedBackend()
    backend.gate.set()
    executor = ModelExecutor(LimitsConfig(), ServerMetrics())
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    for _ in range(N_QUICK):
        served.pace.note(0.0, 0)
    with pytest.raises(RequestError) as caught:
        await executor.run(served, {}, ("quantiles",), time.monotonic() - 1)
    await executor.close(1.0)
    return caught.value


def test_a_deadline_that_passed_during_a_call_on_the_event_loop_is_told():
    assert asyncio.run(_late_inline()).code == StatusCode.DEADLINE_EXCEEDED


async def _with_a_batch_that_runs(
    executor: ModelExecutor, backend: _GatedBackend
) -> tuple[ServedVersion, Arrays, asyncio.Task[object]]:
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    served.queues = executor.queues(served, BatchingConfig(max_batch_size=1, max_execution_batch_size=1))
    feeds = {"x": np.zeros(1, np.float32)}
    first = asyncio.create_task(executor.run(served, feeds, ("quantiles",)))
    while not backend.running:
        await asyncio.sleep(0.01)
    return served, feeds, first


async def _late_batch(*, n_slots: int) -> RequestError:
    backend = _GatedBackend()
    executor = ModelExecutor(LimitsConfig(n_batch_slots=n_slots), ServerMetrics())
    served, feeds, first = await _with_a_batch_that_runs(executor, backend)
    with pytest.raises(RequestError) as caught:
        await asyncio.wait_for(executor.run(served, feeds, ("quantiles",), time.monotonic() + 0.2), 5)
    backend.gate.set()
    await first
    await executor.close(1.0)
    return caught.value


@pytest.mark.parametrize(
    ("n_slots", "code"), [(2, StatusCode.DEADLINE_EXCEEDED), (1, StatusCode.RESOURCE_EXHAUSTED)], ids=["runs", "waits"]
)
def test_a_deadline_ends_a_batched_request_that_runs_and_one_that_waits(n_slots, code):
    assert asyncio.run(_late_batch(n_slots=n_slots)).code == code


async def _crowded_batch() -> RequestError:
    backend = _GatedBackend()
    executor = ModelExecutor(LimitsConfig(n_workers=1, max_queued=0, n_batch_slots=2), ServerMetrics())
    served, feeds, first = await _with_a_batch_that_runs(executor, backend)
    with pytest.raises(RequestError) as caught:
        await executor.run(served, feeds, ("quantiles",))
    backend.gate.set()
    await first
    await executor.close(1.0)
    return caught.value


def test_a_batch_without_a_thread_is_refused_as_overload_like_a_call():
    assert isinstance(asyncio.run(_crowded_batch()), OverloadError)


class _FaultyBackend(_GatedBackend):
    def run(self, feeds: Arrays, fetches) -> list[np.ndarray]:
        raise MemoryError("no room")


async def _faulty_batch() -> list[object]:
    executor = ModelExecutor(LimitsConfig(), ServerMetrics())
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=_FaultyBackend())
    served.queues = executor.queues(served, BatchingConfig(max_batch_size=2, max_execution_batch_size=2))
    calls = [executor.run(served, {"x": np.zeros(1, np.float32)}, ("quantiles",)) for _ in range(2)]
    found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    await executor.close(1.0)
    return found


def test_whatever_ends_a_batch_reaches_each_of_its_requests():
    assert [type(found) for found in asyncio.run(_faulty_batch())] == [MemoryError, MemoryError]


async def _replaced(base: Path, good: Path) -> list[VersionState]:
    (base / "1").mkdir(parents=True)
    metrics = ServerMetrics()
    keeper = VersionKeeper(LoadingConfig(BackendConfig(prefer_tflite=True), max_retries=0), metrics)
    seen = []

    async def settled() -> None:
        while not keeper.settled():
            await asyncio.sleep(0.01)
        seen.append(keeper.versions("m")[0].state)

    keeper.configure([ServedModelSpec("m", base, VersionPolicySpec(), {})])
    await settled()
    keeper.poll()
    await settled()
    (base / "1").rmdir()
    keeper.poll()
    shutil.copytree(good, base / "1")
    keeper.poll()
    await settled()
    await keeper.close()
    return seen


def test_a_version_that_failed_is_loaded_once_it_was_removed_and_put_there_again(models, tmp_path):
    good = tiny_models.write_version(models, tmp_path / "good", factor=2, lite=True)
    states = asyncio.run(_replaced(tmp_path / "m", good))
    assert states == [VersionState.END, VersionState.END, VersionState.AVAILABLE]


def test_a_version_directory_that_cannot_be_looked_at_is_an_error_and_not_gone(tmp_path):
    (tmp_path / "7").mkdir()
    # A stat of such a link fails with ENAMETOOLONG, for root as well.
    (tmp_path / "8").symlink_to("x" * 300)
    with pytest.raises(RequestError, match=r"File name too long .*/8"):
        present_versions(tmp_path)


def test_a_request_log_whose_disk_refuses_is_closed_at_once(tmp_path):
    (tmp_path / "file").write_text("no folder")
    log = RequestLog(tmp_path / "file" / "log", 1.0, limit=1)
    log.offer("classify_log", ClassificationRequest(), ClassificationResponse())
    log._writer.join(5)
    log.offer("classify_log", ClassificationRequest(), ClassificationResponse())
    closing = threading.Thread(target=log.close, daemon=True)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()


def test_a_version_runs_on_the_event_loop_only_after_a_row_of_quick_calls_and_for_inputs_of_that_size():
    pace = Pace()
    for _ in range(19):
        pace.note(0.0001, 100)
    assert not pace.inline(100)
    pace.note(0.0001, 100)
    assert pace.inline(200)
    assert not pace.inline(201)
    pace.note(0.01, 100)
    assert pace.inline(100)
    pace.note(0.2, 100)
    assert not pace.inline(100)
    for _ in range(20):
        pace.note(0.0001, 100)
    assert not pace.inline(100)
    for _ in range(20):
        pace.note(0.0001, 100)
    assert pace.inline(100)


def test_a_version_whose_slow_calls_are_no_exception_goes_back_to_threads():
    pace = Pace()
    for _ in range(20):
        pace.note(0.0001, 100)
    for seconds in (0.01, 0.0001, 0.01, 0.0001, 0.01, 0.0001, 0.01, 0.0001):
        pace.note(seconds, 100)
    assert pace.inline(100)
    for _ in range(2):
        pace.note(0.01, 100)
    assert not pace.inline(100)


def test_admission_is_bounded_and_given_back():
    executor = ModelExecutor(LimitsConfig(max_concurrent=1), ServerMetrics())
    executor.admit()
    with pytest.raises(RequestError, match="answers 1 requests at a time"):
        executor.admit()
    executor.leave()
    executor.admit()
    asyncio.run(executor.close(1.0))


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (VersionPolicySpec(), (3,)),
        (VersionPolicySpec(latest=2), (2, 3)),
        (VersionPolicySpec(every=True), (1, 2, 3)),
        (VersionPolicySpec(specific=(1, 7)), (1,)),
    ],
)
def test_a_policy_chooses_versions(policy, wanted):
    assert policy.wanted([3, 1, 2]) == wanted


def test_version_directories_are_whole_numbers_with_or_without_leading_zeros(tmp_path):
    for name in ("00000123", "7", ".incoming-1", "8.tmp", "records"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    assert sorted(present_versions(tmp_path)) == [7, 123]


def test_a_configuration_with_commas_colons_and_comments_is_read(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list: { config: { name: "a", base_path: "/x", model_platform: "tensorflow" }, # one\n'
        '  config: { name: "b", base_path: "/y", model_platform: "tensorflow", model_version_policy: { specific: { versions: 2 } },'
        ' version_labels { key: "stable" value: 2 } } }'
    )
    first, second = read_model_config(path)
    assert (first.name, first.base_path, first.policy) == ("a", Path("/x"), VersionPolicySpec())
    assert (second.policy.specific, second.labels) == ((2,), {"stable": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('config { name: "a" base_path: "x" }', "absolute path"),
        ('config { base_path: "/x" model_platform: "tensorflow" }', "must have a name"),
        ('config { name: "a" base_path: "/x" } config { name: "a" base_path: "/y" }', "model a multiple times"),
        ('config { name: "a" base_path: "/x" model_platform: "caffe" }', "unsupported platform caffe"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(f"model_config_list {{ {text} }}")
    with pytest.raises(RequestError, match=message):
        read_model_config(path)
