"""The judgement of a candidate: what is decided when, and both ends of it under load against real servers."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import sys
import threading
from dataclasses import replace

import grpc
import numpy as np
import pytest

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.served_model import ServedModel
from forecasting.config.candidate import CandidateConfig, JudgementConfig
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import RetryableError
from forecasting.file_locks import exclusive_lock
from forecasting.gates.candidate import SHADOW_APPROVAL
from forecasting.repository import APPROVAL_KEY, REJECTED_KEY, ModelRepository
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastRole, write_forecasts
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import open_store
from forecasting.store.packing import GridSpec
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from serving.gateway.candidate_judge import LEASE_FILE, CandidateJudge
from serving.gateway.candidate_traffic import CandidateOutcomeRecord
from serving.gateway.forecaster import Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.model_loader import ModelLoader, RolesWatch
from serving.gateway.routing import RouteSpec
from tests.unit.forecasting.store.stores import HOUR, NOON, batch
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, START
from tests.unit.serving.refusing_database import refusing

LIMITS = JudgementConfig(
    requests=10, period="1min", min_requests=5, max_error_ratio=0.1, max_p99_ratio=1000, max_difference_ratio=0.05,
    max_live_error_ratio=None,
)  # fmt: skip
LIVE = LIMITS.model_copy(update={"max_live_error_ratio": 1.0, "min_actuals": 3})
NO = np.zeros(1, np.bool_)


def _found(version, value):
    served = ServedModel("tiny", version, START, tiny_models.SPEC, {})
    answers = np.full((1, 3, 3), value, np.float32)
    return ForecastsRecord(served, ("a",), np.array([START]), answers, (0.5,), {}, {}, NO, NO, (), model_s=0.01)


def _outcome(value):
    """The champion answers 100; none: the candidate does not answer."""
    route = RouteSpec(ModelRole.CANDIDATE, 2, "tiny-candidate")
    candidate = None if value is None else replace(_found(2, value), role=ModelRole.CANDIDATE)
    return CandidateOutcomeRecord(route, _found(1, 100), candidate, "" if candidate else "no answer")


@pytest.fixture
def repository(tmp_path):
    found = ModelRepository(tmp_path / "models")
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "saved_model.pb").write_bytes(b"-")
    for _ in range(2):
        found.publish("tiny", tmp_path / "version", {APPROVAL_KEY: SHADOW_APPROVAL, "cutoff": START})
    found.promote("tiny", 1)
    found.set_candidate("tiny", 2)
    return found


def _judge(repository, limits, store):
    versions, metrics = RolesWatch(repository, "tiny"), GatewayMetrics()
    forecaster = Forecaster(
        "tiny", repository, ModelLoader(lambda version: _found(version, 100).served, versions), "127.0.0.1:1", timeout_s=1, has_fallback=True,
        count=lambda *_: None,
    )  # fmt: skip
    return (
        CandidateJudge(limits, repository, versions, metrics, forecaster=forecaster, store=store),
        forecaster,
        metrics,
    )


def _judged(repository, outcomes, *, seconds=(0.0, 1.0), limits=LIMITS, store=None):
    """State of the judgement after looks at these seconds, with the outcomes between the first and the second."""

    async def judge():
        found, forecaster, metrics = _judge(repository, limits, store)
        await found.look(seconds[0])
        for outcome in outcomes:
            found.watch(outcome)
        for second in seconds[1:]:
            await found.look(second)
        await forecaster.close()
        lines = metrics.page().decode().splitlines()
        return next(line.split('state="')[1].split('"')[0] for line in lines if line.startswith("forecast_candidate_judgement{") and line.endswith(" 1.0"))  # fmt: skip

    return asyncio.run(judge())


def _roles(repository):
    found = repository.roles("tiny")
    return found.champion, found.candidate, found.previous


def test_a_candidate_that_holds_is_promoted_with_an_entry_in_the_audit_log(repository):
    assert _judged(repository, [_outcome(104)] * 10) == "promoted"
    assert _roles(repository) == (2, None, 1)
    last = repository.audit("tiny")[-1]
    assert (last.action.value, last.version, last.reason) == ("promote", 2, "judged beside version 1: all 3 rules hold")
    assert repository.record("tiny", 2)[APPROVAL_KEY] == ""


def test_a_candidate_that_answers_otherwise_is_rolled_back_with_the_reason(repository):
    assert _judged(repository, [_outcome(106)] * 10) == "rolled_back"
    assert _roles(repository) == (1, None, None)
    assert repository.record("tiny", 2)[REJECTED_KEY] == (
        "judged beside version 1: max_difference_ratio fails: 0.0600, must be <= 0.05"
    )


def test_a_candidate_that_fails_too_often_is_rolled_back(repository):
    assert _judged(repository, [_outcome(100)] * 8 + [_outcome(None)] * 2) == "rolled_back"
    assert repository.audit("tiny")[-1].action.value == "reject"


def test_before_there_is_enough_nothing_is_decided(repository):
    assert _judged(repository, [_outcome(106)] * 9, seconds=(0, 59)) == "gathering"
    assert _roles(repository) == (1, 2, None)


def test_at_the_end_of_the_period_fewer_requests_are_enough(repository):
    assert _judged(repository, [_outcome(100)] * 5, seconds=(0, 60)) == "promoted"


def test_too_few_requests_leave_the_candidate_and_say_so(repository, caplog):
    assert _judged(repository, [_outcome(106)] * 4, seconds=(0, 60, 61)) == "undecided"
    assert _roles(repository) == (1, 2, None)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "version 2 of tiny cannot be judged after 1min and stays candidate: "
        "4 requests were compared, at least 5 are needed"
    )


def test_what_a_person_must_approve_is_not_promoted_but_rolled_back_where_it_fails(repository):
    repository.update_record("tiny", 2, {APPROVAL_KEY: "deploy.approval is manual"})
    assert _judged(repository, [_outcome(100)] * 10) == "waiting"
    assert _roles(repository) == (1, 2, None)
    assert _judged(repository, [_outcome(110)] * 10) == "rolled_back"


def test_a_version_of_an_earlier_cutoff_is_not_promoted(repository):
    repository.update_record("tiny", 2, {"cutoff": START - 1})
    assert _judged(repository, [_outcome(100)] * 10) == "waiting"


@pytest.mark.parametrize(("candidate", "state"), [(103.0, "promoted"), (97.0, "rolled_back"), (None, "undecided")])
def test_what_came_decides_where_it_is_asked_for(repository, tmp_path, candidate, state):
    with _store_of(tmp_path, candidate) as store:
        # Champion 4 off, the candidate 1 or 7; with no shadow in the store nothing is known of it.
        outcomes = [_outcome(100)] * 10
        assert _judged(repository, outcomes, seconds=(0, 60), limits=LIVE, store=store) == state


def test_the_ratio_of_errors_goes_with_its_candidate(repository, tmp_path):
    async def judge(store):
        found, forecaster, metrics = _judge(repository, LIVE, store)
        await found.look(0.0)
        for _ in range(10):
            found.watch(_outcome(100))
        await found.look(1.0)
        pages = [metrics.page().decode()]
        await found.look(2.0)
        await forecaster.close()
        return [*pages, metrics.page().decode()]

    with _store_of(tmp_path, 103.0) as store:
        pages = asyncio.run(judge(store))
    assert ['forecast_candidate_error_ratio{model="tiny"} 0.25' in page for page in pages] == [True, False]


def test_a_database_that_refuses_does_not_end_the_judgement(repository, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("serving.gateway.candidate_judge.LOOK_S", 0.01)

    async def judge(store):
        found, forecaster, _ = _judge(repository, LIVE, store)
        await found.look(0.0)
        for _ in range(10):
            found.watch(_outcome(100))
        running = asyncio.create_task(found.run())
        with refusing("FROM forecasts") as refused:
            while len(refused) < 2 and not running.done():
                await asyncio.sleep(0.01)
        while repository.roles("tiny").candidate is not None and not running.done():
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
        await forecaster.close()

    with _store_of(tmp_path, 103.0) as store:
        asyncio.run(asyncio.wait_for(judge(store), 60))
    assert _roles(repository) == (2, None, 1)
    assert "the candidate of tiny is not judged now: string or blob too big" in caplog.text


@contextlib.contextmanager
def _store_of(tmp_path, candidate):
    """What champion and candidate answered, 100 and another number or nothing, and what came: 104."""
    store = open_store(store_address(None, tmp_path / "serving.db"))
    for role, version, point in ((ForecastRole.CHAMPION, 1, 100.0), (ForecastRole.SHADOW, 2, candidate)):
        if point is not None:
            answers = np.full((1, 3, 1), point, np.float32)
            row = batch(model="tiny", series=("a",), origins=np.array([NOON]), levels=(0.5,), answers=answers)
            write_forecasts(store, [replace(row, role=role, version=version, flags=None)])
    rows = ObservationRows(
        model="tiny", series=("a",), names=("Demand",), series_at=np.zeros(3, np.int64), name_at=np.zeros(3, np.int64),
        time=NOON + HOUR * np.arange(3), number=np.full(3, 104.0), known_at=np.full(3, NOON),
    )  # fmt: skip
    write_observations(store, rows, GridSpec.of(HOUR, NOON), now=NOON)
    yield store
    store.close()


def test_while_another_process_decides_nothing_is_done(repository):
    with exclusive_lock(repository.root / "tiny" / LEASE_FILE, "taken"), pytest.raises(RetryableError, match="judged"):
        _judged(repository, [_outcome(100)] * 10)
    assert _roles(repository) == (1, 2, None)


def _load(address, n_requests, *, until, n_clients=4):
    """Answers to requests of several clients, at least so many and until something is true."""

    def ask(_client):
        connection, found, n = http.client.HTTPConnection(address, timeout=30), [], 0
        while n < n_requests or not (until() or n > 100 * n_requests):
            n += 1
            connection.request("POST", "/v1/forecast", b'{"series": ["a"]}', {"content-type": "application/json"})
            response = connection.getresponse()
            document = json.loads(response.read())
            forecast = document.get("forecasts", [{}])[0]
            found.append((response.status, document.get("version"), forecast.get("degraded"), tuple(forecast.get("point", ()))))  # fmt: skip
            if n > n_requests:
                threading.Event().wait(0.02)
        connection.close()
        return found

    with concurrent.futures.ThreadPoolExecutor(n_clients) as pool:
        return [one for found in pool.map(ask, range(n_clients)) for one in found]


class _SlowCandidate(grpc.GenericRpcHandler):
    """Passes everything on to a model server, what the candidate is asked after a pause."""

    def __init__(self, address, pause_s):
        self._channel, self._pause_s = grpc.insecure_channel(address), pause_s

    def service(self, call):
        ask = self._channel.unary_unary(call.method)

        def answer(request, context):
            if b"tiny-candidate" in request:
                threading.Event().wait(self._pause_s)
            return ask(request, timeout=30)

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.contextmanager
def _slowed(address, pause_s):
    """Address of a model server whose candidate takes so much longer."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), handlers=(_SlowCandidate(address, pause_s),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(1).wait()


def _under_load(models, home, root, factor, *, is_served=True, pause_s=None, **limits):
    """Answers under load while a candidate of a factor is judged beside the champion of factor 2."""
    repository = ModelRepository(root / "models")
    for one in (2, factor):
        source = tiny_models.write_version(models, root / f"version-{one}-{len(repository.versions('tiny'))}", factor=one, lite=True)  # fmt: skip
        repository.keep_series("tiny", repository.publish("tiny", source), home / "series")
    repository.promote("tiny", 1)
    judgement = LIMITS.model_copy(update={"requests": 100, **limits})
    timeout_s, at_once = (0.5, 4) if pause_s is None else (30, 32)
    settings = CandidateConfig(shadow=1, shadow_at_once=at_once, timeout_s=timeout_s, judgement=judgement)
    flags = [f"--model_config_file={repository.write_server_config()}", "--prefer_tflite_model"]
    flags += ["--model_config_file_poll_wait_seconds=1"] if is_served else []
    with model_server(flags, log=root / "server.log") as server:
        repository.set_candidate("tiny", 2)
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
            if is_served:
                client.wait_available("tiny-candidate", 2)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={root / 'models'}"]
        command += ["--port=0", f"--candidate={settings.model_dump_json()}"]
        with contextlib.ExitStack() as stack:
            asked = server.grpc_address if pause_s is None else stack.enter_context(_slowed(server.grpc_address, pause_s))  # fmt: skip
            command.append(f"--grpc={asked}")
            _, addresses = stack.enter_context(listening_process(command, LINE, log=root / "gateway.log"))
            address, roles = addresses["http"], repository.roles
            found = _load(address, 100, until=lambda: roles("tiny").candidate is None)
            if roles("tiny").champion == 2:
                pause = threading.Event()
                until = iter(range(100))
                while _load(address, 1, until=lambda: True, n_clients=1)[0][1] != 2 and next(until, None) is not None:
                    pause.wait(0.1)
                found += _load(address, 20, until=lambda: True)
    return repository, found


def test_under_load_a_good_candidate_is_promoted_and_no_request_fails(models, home, tmp_path):
    repository, found = _under_load(models, home, tmp_path, 2)
    assert _roles(repository) == (2, None, 1), (tmp_path / "gateway.log").read_text()[-2000:]
    assert {(status, degraded) for status, _, degraded, _ in found} == {(200, False)}
    assert {version for _, version, _, _ in found[-80:]} == {2}
    assert len({point for *_, point in found}) == 1


def test_under_load_a_candidate_that_answers_nonsense_is_rolled_back_and_nobody_sees_it(models, home, tmp_path):
    repository, found = _under_load(models, home, tmp_path, 1)
    assert _roles(repository) == (1, None, None)
    assert "max_difference_ratio fails" in repository.record("tiny", 2)[REJECTED_KEY]
    assert {(status, version, degraded) for status, version, degraded, _ in found} == {(200, 1, False)}
    assert len({point for *_, point in found}) == 1


def test_under_load_a_candidate_that_does_not_answer_is_rolled_back_and_nobody_waits(models, home, tmp_path):
    repository, found = _under_load(models, home, tmp_path, 1, is_served=False)
    assert _roles(repository) == (1, None, None)
    assert "max_error_ratio fails: 1" in repository.record("tiny", 2)[REJECTED_KEY]
    assert {(status, version, degraded) for status, version, degraded, _ in found} == {(200, 1, False)}


def test_under_load_a_candidate_that_is_slower_is_rolled_back_for_its_99th_percentile(models, home, tmp_path):
    # The same model, half a second later: whatever the machine adds, it adds to both.
    repository, found = _under_load(models, home, tmp_path, 2, pause_s=0.5, max_p99_ratio=1.05)
    assert _roles(repository) == (1, None, None), (tmp_path / "gateway.log").read_text()[-2000:]
    assert "max_p99_ratio fails" in repository.record("tiny", 2)[REJECTED_KEY]
    assert {(status, version, degraded) for status, version, degraded, _ in found} == {(200, 1, False)}
