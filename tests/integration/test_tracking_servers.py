"""Tracking against a real MLflow server, and against servers that are slow, broken or away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.reporting.evidence import gather_evidence
from components.reporting.tracking.spool import spooled
from components.reporting.tracking.track_run import TrackingReport, track_run
from forecasting.config.root import ReportRunSettings
from forecasting.config.sections import ForecastConfig
from forecasting.config.table import DataConfig
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from pipelines.cli import main
from tests.integration.tracking_servers import failing_server, mlflow_server, no_server, silent_server
from tests.unit.reporting.tracked import deployed_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> RunLayout:
    return deployed_run(tmp_path / "home", request.config.cache.mkdir("tiny-models"))


def _track(run: RunLayout, tracking: TrackingConfig) -> TrackingReport:
    settings = ReportRunSettings(name="demand", data=DataConfig(), forecast=ForecastConfig(), tracking=tracking)
    context = StepContext(HomeLayout(run.root.parent.parent), run)
    return track_run(settings, gather_evidence(run), report=run.step(StepName.REPORT_RUN), context=context)


def _client(address: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(address, address)


def test_a_server_has_runs_files_and_a_model_that_forecasts(
    run: RunLayout, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("TRACKER", server)
    told = _track(run, TrackingConfig(uri="${TRACKER}", experiment="whole", request_timeout_s=60))
    assert told.problems == ()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = _client(server)
    runs = client.search_runs([told.experiment])
    assert len(runs) == 9
    assert {found.data.tags["mlflow.parentRunId"] for found in runs if found.info.run_id != told.run_id} == {
        told.run_id
    }
    picture = client.download_artifacts(told.run_id, "figures/learning_curve.png", str(tmp_path))
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert client.get_registered_model("demand").aliases == {"champion": "1"}
    model = mlflow.pyfunc.load_model("models:/demand@champion")
    np.testing.assert_allclose(model.predict(model.input_example), np.full((1, 3, 3), [[20.0, 21.0, 22.0]]))


@pytest.mark.parametrize(
    ("bad_server", "n_requests", "why"),
    [
        (silent_server, 2, "Read timed out. (read timeout=1)"),
        (failing_server, 2, "too many 500 error responses"),
        (no_server, 0, "Connection refused"),
    ],
    ids=["never answers", "answers 500", "is down"],
)
def test_a_bad_server_costs_bounded_retries_and_has_the_run_once_it_works(
    bad_server: Any, n_requests: int, why: str, run: RunLayout, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = HomeLayout(run.root.parent.parent)
    with bad_server() as (address, seen):
        monkeypatch.setenv("TRACKER", address)
        name = bad_server.__name__
        told = _track(run, TrackingConfig(uri="${TRACKER}", experiment=name, max_retries=1, request_timeout_s=1))
        assert len(seen) == n_requests
    (problem,) = told.problems
    assert problem.startswith("MLflow at ${TRACKER} failed: ")
    assert why in problem
    assert address not in problem
    assert [found.name for found in spooled(home)] == ["run-1"]

    monkeypatch.setenv("TRACKER", server)
    (bundle,) = spooled(home)
    _allow_slow_answers(bundle.directory / "bundle.json")
    assert main(["--home", str(home.root), "track", "upload"]) == 0
    assert spooled(home) == []
    client = _client(server)
    experiment = client.get_experiment_by_name(name).experiment_id
    assert len(client.search_runs([experiment])) == 9


def test_a_server_that_is_slow_in_all_is_left_when_the_budget_is_spent(
    run: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_server() as (address, _):
        monkeypatch.setenv("TRACKER", address)
        told = _track(run, TrackingConfig(uri="${TRACKER}", request_timeout_s=600, time_budget_s=1))
    assert told.problems == (
        (
            "mlflow: it was not done within tracking.time_budget_s (1 s); run-1 waits: "
            "the next run sends it, or `almanac track upload`"
        ),
    )
    assert [found.name for found in spooled(HomeLayout(run.root.parent.parent))] == ["run-1"]


def _allow_slow_answers(path: Path) -> None:
    """A busy machine may need more than a second for an answer that is good."""
    document = json.loads(path.read_text())
    document["tracking"] |= {"request_timeout_s": 60}
    path.write_text(json.dumps(document))
