"""A worker whose runs are on a cluster: one run a request, followed to its end, also by another worker than began it."""

import threading
from pathlib import Path

import pytest

from forecasting.cluster_api.session import ApiAddressSpec, ApiSession
from forecasting.cluster_runs import begin_cluster_run, end_cluster_run
from forecasting.config import load_config
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import StepRecord, load_run, write_step
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from forecasting.store.retrain_asking import AskingLimitsSpec, RequestSource, RetrainReasonSpec, ask_for_retraining
from forecasting.store.retrain_requests import RequestState, claim_request, finish_request, retrain_requests
from pipelines.cluster.argo import argo_documents
from pipelines.cluster.argo_backend import ArgoBackend
from pipelines.cluster.backend import submitted_name
from pipelines.cluster.kfp_backend import KfpBackend
from pipelines.worker.cluster_run import ClusterLauncher, hurried_api
from pipelines.worker.worker import Worker, WorkerSpec
from pipelines.worker.worker_metrics import WorkerMetrics
from tests.unit.pipelines.cluster.conftest import DIGEST
from tests.unit.pipelines.cluster.fake_api import Fault
from tests.unit.pipelines.cluster.fake_argo import FakeArgo
from tests.unit.pipelines.cluster.fake_kfp import FakeKfp

NOW = 1_800_000_000
IMAGES = dict.fromkeys([None, *StepName], DIGEST)
FIRST = f"retrain 1 {NOW}"


class Place:
    """A home with a store and a request, and workers for one cluster."""

    def __init__(self, config_path: Path, backend: str) -> None:
        self.config = load_config(
            config_path, [f"cluster.backend={backend}", "retraining.runner=cluster", "retraining.data_lag=2h"]
        )
        self.home = home_layout(config_path.parent / "home")
        self.home.root.mkdir()
        self.path = config_path

    def worker(self, store, url: str, now: int = NOW, owner: str = "w1", sleep=lambda _seconds: None, **more) -> Worker:
        settings = ClusterApiConfig(patience="1s", request_timeout="10s")
        session = ApiSession(ApiAddressSpec(url), settings, sleep=sleep)
        if self.config.cluster.backend == "argo":
            backend = ArgoBackend(self.config, session, lambda: argo_documents(self.config, IMAGES))
        else:
            backend = KfpBackend(self.config, session, lambda: {"pipeline_spec": {}, "platform_spec": {}})
        launcher = ClusterLauncher(backend, self.config, self.home, look_s=0.0)
        spec = WorkerSpec(self.config, self.home, ("-c", str(self.path)), owner)
        more = {"say": lambda _line: None, "clock": lambda: now, **more}
        return Worker(spec, store, launcher, WorkerMetrics("toy"), **more)

    def pods(self, run: str, status: RunStatus, request: str = FIRST, code: int | None = None) -> None:
        """What the pods of a run leave on the volume."""
        begin_cluster_run(self.config, self.home, run, request=request)
        record = StepRecord(
            StepName.VALIDATE_DATA, status, started=1.0, summary="gaps fails", exit_code=code, error="it broke"
        )
        write_step(self.home.run(run), record)
        end_cluster_run(self.home, run)


@pytest.fixture
def argo(config_path):
    return Place(config_path, "argo")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    with open_store(store_address(None, tmp_path / "store" / "serving.db")) as opened:
        ask(opened)
        yield opened


def ask(store, dedup_key="hand"):
    reason = RetrainReasonSpec(model="toy", source=RequestSource.HAND, reason="new tariffs", dedup_key=dedup_key)
    return ask_for_retraining(store, reason, AskingLimitsSpec(0, 99), now=NOW).request


@pytest.mark.parametrize(
    ("phase", "status", "code", "state", "detail"),
    [
        ("Succeeded", RunStatus.REFUSED, None, "done", "refused by validate_data: gaps fails"),
        ("Failed", RunStatus.FAILED, 2, "failed", "failed with exit code 2: validate_data: it broke"),
        ("Failed", RunStatus.FAILED, 137, "waiting", "ended with exit code 137: "),
    ],
)
def test_a_request_ends_as_its_run_on_the_cluster_ended(argo, store, phase, status, code, state, detail):
    name = submitted_name("toy", FIRST)
    argo.pods(name, status, code=code)
    api = FakeArgo(phases=["Running", "Running", phase])
    with api as url:
        argo.worker(store, url).work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.run) == (state, name)
    assert closed.detail.startswith(detail)
    parameters = {e["name"]: e["value"] for e in api.kept["workflows"][name]["spec"]["arguments"]["parameters"]}
    assert parameters["cutoff"] == "2027-01-15T06:00:00+00:00"


def test_a_run_on_kubeflow_is_found_by_the_request_that_its_record_keeps(config_path, store):
    place = Place(config_path, "kfp")
    place.pods("almanac-toy-x7k2p", RunStatus.REFUSED)
    with FakeKfp(states=["RUNNING", "SUCCEEDED"]) as url:
        place.worker(store, url).work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.run) == ("done", "almanac-toy-x7k2p")


@pytest.mark.parametrize("backend", ["argo", "kfp"])
def test_the_run_of_a_killed_worker_is_followed_by_the_next(config_path, store, backend):
    place = Place(config_path, backend)
    api = FakeArgo(phases=["Running"]) if backend == "argo" else FakeKfp(states=["RUNNING"])
    kept = "workflows" if backend == "argo" else "runs"
    with api as url:
        killed = place.worker(store, url)
        request = claim_request(store, "w1", now=NOW, lease_s=90, model="toy")
        # It submits, and is killed before it can write down which run.
        killed._launcher.start(killed._asked(request))
        place.pods(submitted_name("toy", FIRST), RunStatus.REFUSED)
        if backend == "argo":
            api.phases = ["Running", "Succeeded"]
        else:
            api.states = ["RUNNING", "SUCCEEDED"]
        place.worker(store, url, now=NOW + 100, owner="w2").work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.attempts) == ("done", 2)
    assert len(api.kept[kept]) == 1


def test_a_worker_that_is_told_to_stop_leaves_its_run_to_the_next(argo, store):
    api = FakeArgo(phases=["Running"])
    with api as url:
        worker = argo.worker(store, url)
        threading.Timer(1.5, worker.stop.set).start()
        assert worker.work_once() is None
        (waiting,) = retrain_requests(store)
        assert (waiting.state, waiting.run, waiting.attempts) == ("waiting", submitted_name("toy", FIRST), 0)
        assert "shutdown" not in api.kept["workflows"][waiting.run]["spec"]
        # Its pods go on meanwhile, and hold the claim.
        begin_cluster_run(argo.config, argo.home, waiting.run, request=FIRST)
        api.phases = ["Succeeded"]
        found = argo.worker(store, url, owner="w2").work_once()
    assert found is not None
    assert len(api.kept["workflows"]) == 1


def test_nothing_is_claimed_beside_a_run_that_no_request_asked_for(argo, store):
    begin_cluster_run(argo.config, argo.home, "almanac-toy-1", request="by hand")
    api = FakeArgo()
    with api as url:
        assert argo.worker(store, url).work_once() is None
    assert api.asked == []


def test_a_run_that_failed_and_was_told_of_has_another_after_it(argo, store):
    first = submitted_name("toy", FIRST)
    argo.pods(first, RunStatus.FAILED, code=137)
    api = FakeArgo(phases=["Failed"])
    with api as url:
        argo.worker(store, url).work_once()
        second = submitted_name("toy", f"{FIRST} 2")
        argo.pods(second, RunStatus.REFUSED, request=f"{FIRST} 2")
        api.phases = ["Succeeded"]
        argo.worker(store, url, now=NOW + 100).work_once()
    (closed,) = retrain_requests(store)
    assert list(api.kept["workflows"]) == [first, second]
    assert (closed.state, closed.run) == ("done", second)


def test_each_of_three_attempts_has_a_run_of_its_own(argo, store):
    names = [submitted_name("toy", request) for request in (FIRST, f"{FIRST} 2", f"{FIRST} 3")]
    api = FakeArgo(phases=["Failed"])
    with api as url:
        argo.pods(names[0], RunStatus.FAILED, code=137)
        argo.worker(store, url).work_once()
        argo.pods(names[1], RunStatus.FAILED, request=f"{FIRST} 2", code=137)
        argo.worker(store, url, now=NOW + 100).work_once()
        argo.pods(names[2], RunStatus.FAILED, request=f"{FIRST} 3", code=137)
        argo.worker(store, url, now=NOW + 200).work_once()
    (closed,) = retrain_requests(store)
    assert list(api.kept["workflows"]) == names
    assert (closed.state, closed.run, closed.attempts) == ("failed", names[2], 3)


def test_on_kubeflow_too_each_attempt_has_a_run_of_its_own(config_path, store):
    place = Place(config_path, "kfp")
    api = FakeKfp(states=["FAILED"])
    with api as url:
        place.pods("almanac-toy-aaaaa", RunStatus.FAILED, code=137)
        place.worker(store, url).work_once()
        place.pods("almanac-toy-bbbbb", RunStatus.FAILED, request=f"{FIRST} 2", code=137)
        place.worker(store, url, now=NOW + 100).work_once()
        place.pods("almanac-toy-ccccc", RunStatus.FAILED, request=f"{FIRST} 3", code=137)
        place.worker(store, url, now=NOW + 200).work_once()
    (closed,) = retrain_requests(store)
    assert len(api.kept["runs"]) == 3
    assert (closed.state, closed.run, closed.attempts) == ("failed", "almanac-toy-ccccc", 3)


def test_a_workflow_that_was_removed_has_another_after_it_and_no_second_of_its_name(argo, store):
    api = FakeArgo(phases=["Failed"])
    with api as url:
        argo.worker(store, url).work_once()
        api.kept["workflows"].clear()
        argo.worker(store, url, now=NOW + 100).work_once()
    assert list(api.kept["workflows"]) == [submitted_name("toy", f"{FIRST} 2")]


@pytest.mark.parametrize("backend", ["argo", "kfp"])
def test_a_cluster_that_cannot_be_reached_is_asked_again_later(config_path, store, backend):
    place = Place(config_path, backend)
    api = FakeArgo() if backend == "argo" else FakeKfp(states=["SUCCEEDED"])
    with api as url:
        api.faults = [Fault(status=503)] * 99
        found = place.worker(store, url).work_once()
        (waiting,) = retrain_requests(store)
        assert (found.outcome, found.exit_code) == ("stopped", 75)
        assert (waiting.state, waiting.attempts, waiting.lease_until) == ("waiting", 1, NOW + 60)
        assert "answered 503: not now" in waiting.detail
        api.faults = []
        place.pods(submitted_name("toy", FIRST), RunStatus.REFUSED)
        place.worker(store, url, now=NOW + 60).work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.detail) == ("done", "refused by validate_data: gaps fails")


def test_a_cluster_that_cannot_be_reached_three_times_fails_the_request(argo, store):
    with FakeArgo(faults=[Fault(status=503)] * 99) as url:
        for now in (NOW, NOW + 60, NOW + 120):
            argo.worker(store, url, now=now).work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.attempts) == ("failed", 3)
    assert closed.detail.startswith("its run could not be begun: POST ")


def test_a_worker_that_is_told_to_stop_while_it_submits_gives_its_request_back(argo, store):
    stop = threading.Event()

    def told_meanwhile(_seconds):
        stop.set()
        return True

    with FakeArgo(faults=[Fault(status=503)] * 99) as url:
        assert argo.worker(store, url, sleep=told_meanwhile, stop=stop).work_once() is None
    (waiting,) = retrain_requests(store)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == ("waiting", 0, NOW)


def test_the_request_whose_run_goes_on_is_taken_over_before_an_older_one(argo, store):
    second = ask(store, "by hand again")
    request = f"retrain {second.id} {NOW}"
    going = submitted_name("toy", request)
    api = FakeArgo(phases=["Running"])
    with api as url:
        killed = argo.worker(store, url)
        asked = killed._asked(claim_request(store, "w1", now=NOW, lease_s=90, only=second.id))
        killed._launcher.start(asked)
        begin_cluster_run(argo.config, argo.home, going, request=request)
        api.phases = ["Failed"]
        argo.worker(store, url, now=NOW + 100, owner="w2").work_once()
    after, before = retrain_requests(store)
    assert (after.run, after.attempts) == (going, 2)
    assert (before.run, before.attempts) == (None, 0)
    assert list(api.kept["workflows"]) == [going]


def test_nothing_is_claimed_beside_a_run_whose_request_is_closed(argo, store):
    first = claim_request(store, "w1", now=NOW, lease_s=90, model="toy")
    begin_cluster_run(argo.config, argo.home, submitted_name("toy", FIRST), request=FIRST)
    finish_request(store, first, RequestState.FAILED, detail="by hand", now=NOW)
    ask(store)
    api = FakeArgo()
    with api as url:
        assert argo.worker(store, url).work_once() is None
    assert [one.attempts for one in retrain_requests(store)] == [0, 1]
    assert api.asked == []


def test_a_damaged_record_of_the_run_that_goes_on_is_told_and_looked_at_again(argo, store):
    name = submitted_name("toy", FIRST)
    begin_cluster_run(argo.config, argo.home, name, request=FIRST)
    record, said = argo.home.run(name).record, []
    whole = record.read_text()
    api = FakeArgo(phases=["Failed"])
    with api as url:
        worker = argo.worker(store, url, say=said.append)
        record.write_text(whole[:50])
        assert worker.work_once() is None
        assert said[0].startswith(f"no request can be claimed: {record} ")
        assert retrain_requests(store)[0].attempts == 0
        record.write_text(whole.replace('"cutoff"', '"cut"'))
        assert worker.work_once() is None
        assert "is no run record of this version" in said[1]
        record.write_text(whole)
        assert worker.work_once() is not None


def test_a_look_at_a_run_takes_no_longer_than_the_lease_allows(config_path):
    config = load_config(
        config_path, ["retraining.lease_s=120", "cluster.api.request_timeout=5min", "cluster.api.patience=1h"]
    )
    found = hurried_api(config)
    assert (found.patience, found.request_timeout) == ("30s", "20s")
    quick = load_config(config_path, ["cluster.api.request_timeout=2s", "cluster.api.patience=3s"])
    assert hurried_api(quick).model_dump() == {
        **quick.cluster.api.model_dump(),
        "patience": "3s",
        "request_timeout": "2s",
    }


def test_a_run_that_could_not_begin_is_tried_again(argo, store):
    with FakeArgo(phases=["Failed"]) as url:
        found = argo.worker(store, url).work_once()
    (waiting,) = retrain_requests(store)
    assert (found.outcome, waiting.state) == ("stopped", "waiting")
    assert "it left no record in" in found.detail


def test_a_run_that_cannot_be_seen_for_a_while_is_followed_on(argo, store):
    name = submitted_name("toy", FIRST)
    argo.pods(name, RunStatus.REFUSED)
    api = FakeArgo(phases=["Running", "Running", "Succeeded"])
    with api as url:
        worker = argo.worker(store, url)
        api.faults = [Fault(status=403, method="GET"), Fault(status=503, method="GET")]
        worker.work_once()
    (closed,) = retrain_requests(store)
    assert (closed.state, api.faults) == ("done", [])


def test_a_cluster_that_refuses_the_run_fails_the_request(argo, store):
    with FakeArgo(faults=[Fault(status=403)] * 3) as url:
        found = argo.worker(store, url).work_once()
    (closed,) = retrain_requests(store)
    assert (found.outcome, closed.state) == ("failed", "failed")
    assert "cluster.api.token_file must name the token of somebody who may do this" in closed.detail
    assert load_config(argo.path).retraining.runner == "local"
    assert not list(argo.home.runs.glob("*/run.json"))


def test_a_workflow_that_somebody_removed_is_told_by_its_record(argo, store):
    name = submitted_name("toy", FIRST)
    argo.pods(name, RunStatus.REFUSED)
    api = FakeArgo(phases=["Running"])
    with api as url:
        worker = argo.worker(store, url)
        threading.Timer(1.0, api.kept["workflows"].clear).start()
        found = worker.work_once()
    assert found.outcome == "refused"
    assert load_run(argo.home.run(name)).status == RunStatus.REFUSED
