"""A worker whose runs are on a cluster: one run a request, followed to its end, also by another worker than began it."""

import threading
from pathlib import Path

import pytest

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
from forecasting.store.retrain_requests import claim_request, retrain_requests
from pipelines.cluster.api_session import ApiAddressSpec, ApiSession
from pipelines.cluster.argo import argo_documents
from pipelines.cluster.argo_backend import ArgoBackend
from pipelines.cluster.backend import submitted_name
from pipelines.cluster.kfp_backend import KfpBackend
from pipelines.worker.cluster_run import ClusterLauncher
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

    def worker(self, store, url: str, now: int = NOW, owner: str = "w1") -> Worker:
        settings = ClusterApiConfig(patience="1s", request_timeout="10s")
        session = ApiSession(ApiAddressSpec(url), settings, sleep=lambda _seconds: None)
        if self.config.cluster.backend == "argo":
            backend = ArgoBackend(self.config, session, lambda: argo_documents(self.config, IMAGES))
        else:
            backend = KfpBackend(self.config, session, lambda: {"pipeline_spec": {}, "platform_spec": {}})
        launcher = ClusterLauncher(backend, self.config, self.home, look_s=0.0)
        spec = WorkerSpec(self.config, self.home, ("-c", str(self.path)), owner)
        return Worker(spec, store, launcher, WorkerMetrics("toy"), say=lambda _line: None, clock=lambda: now)

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
        reason = RetrainReasonSpec(model="toy", source=RequestSource.HAND, reason="new tariffs", dedup_key="hand")
        ask_for_retraining(opened, reason, AskingLimitsSpec(0, 99), now=NOW)
        yield opened


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
