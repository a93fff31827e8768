"""What MLflow has of a search: the study is a run, every trial a run in it; written by the real sender into a real SQLite store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.reporting.tracking.mlflow_runs import send_runs
from components.reporting.tracking.spool import spooled
from components.reporting.tracking.track_run import track_study
from components.reporting.tracking.trials import study_bundle, trial_parts
from components.reporting.tracking.upload import upload
from components.tuning.page import write_search
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.tuning_record import FoldFitRecord, TrialOutcome, TrialRecord, TrialStage, TuningReport

STARTED = 1_700_000_000.0
FOLD = FoldFitRecord(0.25, 0.5, 0.75, 2, 1.5, "good fit")
SCORED = TrialRecord(
    0, TrialOutcome.SCORED, {"model.units": (64, 32), "training.l2": 0.5}, 0.25, (FOLD,), (0.8, 0.75), 1_000, 4.0, "",
    TrialStage.JOINT, started=STARTED,
)  # fmt: skip
PRUNED = replace(
    SCORED, number=1, outcome=TrialOutcome.PRUNED, value=None, folds=(), epochs=(0.9,), started=STARTED + 4
)
REFUSED = replace(
    PRUNED, number=2, outcome=TrialOutcome.REFUSED, epochs=(), reason="it diverged", started=STARTED + 8, seed=7
)
REPORT = TuningReport(
    "load", "load-0a1b2c", "wql", False, "tpe", "successive_halving", ((0, 3_600),), 3_600, (SCORED, PRUNED, REFUSED),
    {"training.l2": 1.0}, 0, 0,
)  # fmt: skip
DOWN = TrackingConfig(uri="http://127.0.0.1:9", request_timeout_s=1, max_retries=0)


def client_of(home: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose MLflow was told of a search once it had two trials, and again when it had three."""
    root = tmp_path_factory.mktemp("home")
    folder = root / "tuning"
    folder.mkdir()
    for report in (replace(REPORT, trials=(SCORED, PRUNED)), REPORT):
        write_search(report, folder)
        assert track_study(report, TrackingConfig(), HomeLayout(root), folder=folder) == ()
    return root


def runs_of(home: Path) -> dict[str, Any]:
    client = client_of(home)
    experiment = client.get_experiment_by_name("load").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def test_a_search_that_goes_on_stays_one_run_with_its_trials_in_it(home: Path) -> None:
    runs = runs_of(home)
    assert set(runs) == {"load-0a1b2c", "trial-0", "trial-1", "trial-2"}
    study = runs["load-0a1b2c"]
    assert "mlflow.parentRunId" not in study.data.tags
    for number in range(3):
        assert runs[f"trial-{number}"].data.tags["mlflow.parentRunId"] == study.info.run_id
    assert study.data.params["sampler"] == "tpe"
    assert study.data.metrics == {
        "search/n_trials": 3.0, "search/best_wql": 0.25, "search/configured_wql": 0.25, "search/importance/training.l2": 1.0,
    }  # fmt: skip


def test_a_trial_has_its_settings_its_losses_by_epoch_and_what_became_of_it(home: Path) -> None:
    runs, client = runs_of(home), client_of(home)
    scored, refused = runs["trial-0"], runs["trial-2"]
    assert scored.data.params == {"model.units": "64, 32", "training.l2": "0.5"}
    assert (scored.data.metrics["wql"], scored.data.metrics["fold_1/train_loss"]) == (0.25, 0.5)
    points = client.get_metric_history(scored.info.run_id, "validation_loss")
    assert [(point.step, point.value) for point in points] == [(1, 0.8), (2, 0.75)]
    assert (scored.info.start_time, scored.info.end_time) == (int(STARTED * 1000), int(STARTED * 1000) + 4_000)
    assert [runs[f"trial-{i}"].info.status for i in range(3)] == ["FINISHED", "KILLED", "FAILED"]
    assert [runs[f"trial-{i}"].data.tags["almanac.outcome"] for i in range(3)] == ["scored", "pruned", "refused"]
    assert (refused.data.tags["almanac.reason"], refused.data.params["training.seed"]) == ("it diverged", "7")


def test_the_files_of_the_search_are_those_of_its_run(home: Path) -> None:
    study = runs_of(home)["load-0a1b2c"]
    found = {file.path for file in client_of(home).list_artifacts(study.info.run_id)}
    assert found == {"trials.json", "trials.parquet", "tuning.html"}


def test_a_server_that_is_down_has_the_search_later(tmp_path: Path) -> None:
    home = HomeLayout(tmp_path)
    write_search(REPORT, tmp_path)
    (problem,) = track_study(REPORT, DOWN, home, folder=tmp_path)
    assert "load-0a1b2c waits" in problem
    assert [found.name for found in spooled(home)] == ["load-0a1b2c"]


def test_trials_of_a_search_in_a_run_are_nested_in_its_step(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("load", artifact_location=(tmp_path / "files").as_uri())
    whole = study_bundle(REPORT, TrackingConfig())
    step = replace(whole.pipeline, part="tune_model", name="tune_model", tags={**whole.pipeline.tags, "almanac.part": "tune_model"})  # fmt: skip
    trials = trial_parts(REPORT, whole.run, within="tune_model")
    parent = send_runs(client, experiment, replace(whole, steps=(step, *trials)), tmp_path)
    runs = {run.data.tags["almanac.part"]: run for run in client.search_runs([experiment])}
    nested = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    inner = runs["tune_model"].info.run_id
    assert nested == {"run": None, "tune_model": parent, "trial-0": inner, "trial-1": inner, "trial-2": inner}
    assert upload(HomeLayout(tmp_path), budget_s=1.0).sent["mlflow"] == {}
