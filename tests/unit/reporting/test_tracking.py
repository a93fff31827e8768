"""What MLflow has of a run, written by the real sender into a real SQLite store and read back through MLflow."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.reporting.report_run import report_run
from components.reporting.tracking.bundle import VersionSpec
from components.reporting.tracking.removals import note_removals, removals
from components.reporting.tracking.spool import spooled
from components.reporting.tracking.track_run import TrackingReport, track_run
from components.reporting.tracking.upload import upload
from forecasting.config.root import ReportRunSettings
from forecasting.config.sections import ForecastConfig
from forecasting.config.table import DataConfig
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.repository import ModelRepository
from forecasting.runs import load_run, write_step
from forecasting.steps import StepContext
from pipelines.cli import main
from tests.unit.reporting.runs import whole_run
from tests.unit.reporting.tracked import DIGEST, deployed_run

GONE = {"runs": ["run-1"], "versions": [VersionSpec(1, DIGEST)]}
SETTINGS = ReportRunSettings(name="demand", data=DataConfig(), forecast=ForecastConfig(), tracking=TrackingConfig())


@dataclass(frozen=True)
class Tracked:
    """A run that was sent, and MLflow as a client sees it."""

    run: RunLayout
    context: StepContext
    client: Any
    told: dict[str, Any]

    @property
    def experiment(self) -> str:
        return str(self.client.get_experiment_by_name("demand").experiment_id)

    def part(self, name: str) -> Any:
        """The run of a part."""
        found = self.client.search_runs([self.experiment], f"tags.`almanac.part` = '{name}'")
        assert len(found) == 1
        return found[0]

    def files(self, name: str, folder: str | None = None) -> set[str]:
        return {file.path for file in self.client.list_artifacts(self.part(name).info.run_id, folder)}


def client_of(home: Path) -> Any:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{home / 'mlflow.db'}"
    return MlflowClient(uri, uri)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Tracked:
    home = tmp_path_factory.mktemp("home")
    run = deployed_run(home, request.config.cache.mkdir("tiny-models"))
    context = StepContext(HomeLayout(home), run)
    output = run.step(StepName.REPORT_RUN)
    output.mkdir()
    assert report_run(SETTINGS, {}, output, context).passed
    return Tracked(run, context, client_of(home), json.loads((output / "tracking.json").read_text()))


def test_the_run_of_the_pipeline_has_settings_metrics_and_what_it_was_made_of(tracked: Tracked) -> None:
    run = tracked.part("run")
    assert tracked.told == {"experiment": tracked.experiment, "run_id": run.info.run_id, "version": "1", "problems": []}
    assert (run.info.run_name, run.info.status) == ("run-1", "FINISHED")
    assert run.data.params["features.calendar_time_zone"] == "Australia/Melbourne"
    assert run.data.metrics["evaluate_model/candidate/mae"] == pytest.approx(0.25)
    assert run.data.metrics["evaluate_model/candidate/outlier_ratio"] == pytest.approx(1.0)
    assert run.data.tags["almanac.config_digest"] == "0" * 64
    assert len(run.data.tags["almanac.lock_digest"]) == 64
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert run.data.tags["almanac.verdict"] == "Version 1 passed every gate and is the champion now."


def test_the_input_table_is_a_dataset_with_the_digest_of_the_series(tracked: Tracked) -> None:
    manifest = json.loads((tracked.run.step(StepName.VALIDATE_DATA) / "manifest.json").read_text())
    (given,) = tracked.part("run").inputs.dataset_inputs
    profile = json.loads(given.dataset.profile)
    assert given.dataset.name == "demand"
    assert profile["n_series"] == 1
    assert profile["digest"].startswith(given.dataset.digest)
    assert len(manifest["payload"]) > 1
    assert [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]] == ["Demand", "Copy"]


def test_every_step_is_a_nested_run_with_its_time_and_its_files(tracked: Tracked) -> None:
    parent = tracked.part("run").info.run_id
    for step in steps_of():
        if step == StepName.REPORT_RUN:
            continue
        nested = tracked.part(step)
        assert nested.data.tags["mlflow.parentRunId"] == parent
        assert nested.data.metrics["step/duration_s"] == 2.0
        assert (nested.info.start_time, nested.info.end_time) == (1_000, 3_000)
        assert "manifest.json" in tracked.files(step)


def test_the_training_is_a_curve_by_epoch(tracked: Tracked) -> None:
    history = tracked.client.get_metric_history(tracked.part("train_model").info.run_id, "validation_loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.8), (2, 0.6), (3, 0.65)]


def test_the_gates_are_a_table_and_metrics_and_the_charts_are_pictures(tracked: Tracked, tmp_path: Path) -> None:
    assert {"config.yaml", "report.html", "gates.json", "variants.json"} <= tracked.files("run")
    pictures = {f"figures/{name}.png" for name in ("forecast", "learning_curve", "error_by_step", "pareto")}
    assert pictures == tracked.files("run", "figures")
    path = tracked.client.download_artifacts(tracked.part("run").info.run_id, "gates.json", str(tmp_path))
    table = json.loads(Path(path).read_text())
    rules = {row[table["columns"].index("rule")]: row for row in table["data"]}
    assert rules["max_mae"][table["columns"].index("limit")] == 0.5
    logged = json.loads(tracked.part("run").data.tags["mlflow.loggedArtifacts"])
    assert logged == [
        {"path": "gates.json", "type": "table"},
        {"path": "variants.json", "type": "table"},
    ]
    assert tracked.part("evaluate_model").data.metrics["gate/max_mae/candidate/limit"] == 0.5


def test_the_champion_is_loaded_from_the_registry_and_forecasts_without_any_pickle(tracked: Tracked) -> None:
    import mlflow.pyfunc

    version = tracked.client.get_model_version_by_alias("demand", "champion")
    assert version.tags["repository_version"] == "1"
    assert version.tags["repository_digest"] == DIGEST
    assert version.run_id == tracked.part("run").info.run_id
    # By its files: what `models:/demand@champion` stands for, without the one tracking server of a whole process.
    model = mlflow.pyfunc.load_model(
        tracked.client.get_logged_model(version.source.rpartition("/")[2]).artifact_location
    )
    assert [spec.shape for spec in model.metadata.signature.inputs] == [(-1, 6, 3), (-1, 3, 2)]
    np.testing.assert_allclose(model.predict(model.input_example), np.full((1, 3, 3), [[20.0, 21.0, 22.0]]))
    suffixes = {path.suffix for path in (tracked.context.home.root / "mlartifacts").rglob("*") if path.is_file()}
    assert not {".pkl", ".pickle", ".joblib", ".dill"} & suffixes


def test_a_run_that_is_sent_twice_is_doubled_nowhere(tracked: Tracked) -> None:
    from components.reporting.evidence import gather_evidence

    again = _track(tracked.run, tracked.context)
    assert again.run_id == tracked.told["run_id"]
    assert gather_evidence(tracked.run).status == "succeeded"
    assert len(tracked.client.search_runs([tracked.experiment])) == 9
    assert len(tracked.client.search_model_versions("name = 'demand'")) == 1
    assert len(tracked.client.search_logged_models([tracked.experiment])) == 1
    history = tracked.client.get_metric_history(tracked.part("train_model").info.run_id, "validation_loss")
    assert len(history) == 3


def _track(run: RunLayout, context: StepContext, tracking: TrackingConfig | None = None) -> TrackingReport:
    from components.reporting.evidence import gather_evidence

    settings = SETTINGS.model_copy(update={"tracking": tracking or TrackingConfig()})
    return track_run(settings, gather_evidence(run), report=run.step(StepName.REPORT_RUN), context=context)


def test_runs_that_the_pipeline_system_has_opened_are_joined_and_left_open(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = deployed_run(tmp_path, request.config.cache.mkdir("tiny-models"), approval="deploy.approval is manual")
    client = client_of(tmp_path)
    experiment = client.create_experiment("of the cluster", artifact_location=(tmp_path / "files").as_uri())
    outer = client.create_run(experiment).info.run_id
    opened = {}
    for step, record in load_run(run).steps.items():
        opened[step] = client.create_run(experiment, tags={"mlflow.parentRunId": outer}).info.run_id
        write_step(run, replace(record, mlflow_run=opened[step]))
    told = _track(run, StepContext(HomeLayout(tmp_path), run))
    assert told.problems == ()
    assert told.run_id == outer
    train = client.get_run(opened[StepName.TRAIN_MODEL])
    assert train.info.status == "RUNNING"
    assert train.data.metrics["validation_loss"] == 0.65
    assert client.get_run(outer).info.status == "RUNNING"
    assert client.get_run(outer).data.tags["almanac.run"] == "run-1"
    assert len(client.search_runs([experiment])) == 9
    assert client.get_registered_model("demand").aliases == {"candidate": 1}

    # What somebody else opened may hold what is not ours, and is not ours to delete.
    client.delete_registered_model("demand")
    note_removals(HomeLayout(tmp_path), "demand", TrackingConfig(experiment="of the cluster"), **GONE)
    kept = upload(HomeLayout(tmp_path), budget_s=120).sent["mlflow"]["removals of demand"].note
    assert kept == "of the run run-1 stay in MLflow the runs that it joined: somebody else opened them"
    assert len(client.search_runs([experiment])) == 9


def test_a_server_that_is_down_costs_no_run_and_has_it_later(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = deployed_run(tmp_path, request.config.cache.mkdir("tiny-models"))
    context = StepContext(HomeLayout(tmp_path), run)
    down = TrackingConfig(uri="http://127.0.0.1:9", max_retries=0, request_timeout_s=1)
    told = _track(run, context, down)
    assert told.run_id == ""
    assert told.problems[0].startswith("MLflow at http://127.0.0.1:9 failed: ")
    assert told.problems[0].endswith("run-1 waits: the next run sends it, or `almanac track upload`")
    (waits,) = spooled(context.home)
    assert list(waits.pending) == ["mlflow"]

    (waits.directory / "bundle.json").write_text(
        (waits.directory / "bundle.json").read_text().replace('"http://127.0.0.1:9"', "null")
    )
    sent = upload(context.home, budget_s=120).of("run-1")
    assert sent is not None
    assert (sent.problem, sent.version) == ("", "1")
    assert spooled(context.home) == []
    assert ModelRepository(context.home.models).roles("demand").champion == 1


def test_what_a_bundle_holds_outlives_its_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = deployed_run(tmp_path, request.config.cache.mkdir("tiny-models"))
    context = StepContext(HomeLayout(tmp_path), run)
    _track(run, context, TrackingConfig(uri="${NO_SUCH_SERVER}"))
    (waits,) = spooled(context.home)
    assert waits.pending["mlflow"] == (
        "tracking.uri names the environment variable NO_SUCH_SERVER, which must be set, and is not"
    )
    shutil.rmtree(run.root)
    assert (waits.directory / "files" / "run" / "config.yaml").is_file()
    assert (waits.directory / "model" / "model.tflite").is_file()
    assert "NO_SUCH_SERVER" in (waits.directory / "bundle.json").read_text()


def test_what_is_collected_here_goes_in_mlflow_too_but_never_what_has_an_alias(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = deployed_run(tmp_path, request.config.cache.mkdir("tiny-models"))
    home = HomeLayout(tmp_path)
    assert _track(run, StepContext(home, run)).problems == ()
    note_removals(home, "demand", TrackingConfig(), **GONE)
    kept = upload(home, budget_s=120).sent["mlflow"]["removals of demand"]
    assert kept.note == (
        "version 1 of demand stays in MLflow: it has the alias champion there; "
        "the run run-1 stays in MLflow: a registered version came from it"
    )
    client = client_of(tmp_path)
    (experiment,) = (found.experiment_id for found in client.search_experiments(filter_string="name = 'demand'"))
    assert len(client.search_runs([experiment])) == 9

    repository = ModelRepository(home.models)
    for _ in range(2):
        repository.promote("demand", repository.publish("demand", tmp_path / "source", {"digest": "another"}))
    note_removals(home, "demand", TrackingConfig(), **GONE)
    assert upload(home, budget_s=120).sent["mlflow"]["removals of demand"].note == ""
    assert removals(home) == {}
    assert client.search_model_versions("name = 'demand'") == []
    assert client.search_runs([experiment]) == []
    assert [path for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()] == []


def test_a_file_that_is_missing_or_damaged_is_the_problem_of_its_bundle_alone(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = deployed_run(tmp_path, request.config.cache.mkdir("tiny-models"))
    home, spool = HomeLayout(tmp_path), tmp_path / "tracking" / "spool"
    _track(run, StepContext(home, run), TrackingConfig(uri="${NO_SUCH_SERVER}"))
    path = spool / "run-1" / "bundle.json"
    path.write_text(path.read_text().replace('"${NO_SUCH_SERVER}"', "null"))
    for name in ("run-01", "run-02"):
        shutil.copytree(spool / "run-1", spool / name)
        (spool / name / "bundle.json").write_text(path.read_text().replace("run-1", name))
    (spool / "run-01" / "files" / "run" / "gone.txt").symlink_to(tmp_path / "nowhere")
    (spool / "run-02" / "golden.npz").write_bytes((spool / "run-02" / "golden.npz").read_bytes()[:200])
    report = upload(home, budget_s=120)
    missing, damaged, whole = (report.of(name) for name in ("run-01", "run-02", "run-1"))
    assert missing is not None
    assert damaged is not None
    assert whole is not None
    assert missing.problem.startswith("what MLflow was to be sent cannot be read or written here: ")
    assert "gone.txt" in missing.problem
    assert damaged.problem.startswith(f"{spool / 'run-02' / 'golden.npz'} must hold a request and its answer: ")
    assert (whole.problem, whole.version) == ("", "1")
    assert [found.name for found in spooled(home)] == ["run-01", "run-02"]


def test_a_bundle_that_is_not_done_in_time_goes_behind_the_others(tmp_path: Path) -> None:
    run, home, spool = whole_run(tmp_path), HomeLayout(tmp_path), tmp_path / "tracking" / "spool"
    _track(run, StepContext(home, run), TrackingConfig(uri="${NO_SUCH_SERVER}"))
    for name in ("run-a", "run-b"):
        shutil.copytree(spool / "run-1", spool / name)
        (spool / name / "pending.json").write_text('{"mlflow": ""}')
    shutil.rmtree(spool / "run-1")
    # No interpreter has begun by then, so that the first is the one that takes too long.
    assert list(upload(home, budget_s=0.01).sent["mlflow"]) == ["run-a", "run-b"]
    problem = "mlflow: it was not done within tracking.time_budget_s (0.01 s)"
    assert {found.name: found.pending["mlflow"] for found in spooled(home)} == {"run-a": problem, "run-b": ""}
    assert list(upload(home, budget_s=120).sent["mlflow"]) == ["run-b", "run-a"]

    shutil.copytree(spool / "run-b", spool / "run-z")
    (spool / "run-z" / "pending.json").write_text('{"mlflow": ""}')
    assert next(iter(upload(home, budget_s=120).sent["mlflow"])) == "run-z"


def test_a_damaged_bundle_is_named_and_keeps_no_other_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole_run(tmp_path)
    for name, text in {"run-0": "{", "run-00": "[]"}.items():
        damaged = tmp_path / "tracking" / "spool" / name
        damaged.mkdir(parents=True)
        (damaged / "bundle.json").write_text("{")
        (damaged / "pending.json").write_text(text)
    told = _track(run, StepContext(HomeLayout(tmp_path), run))
    spool = tmp_path / "tracking" / "spool"
    assert told.run_id != ""
    assert [problem.partition(":")[0] for problem in told.problems] == [
        f"{spool / 'run-0' / 'pending.json'} cannot be read",
        f"{spool / 'run-00' / 'pending.json'} cannot be read",
    ]
    assert not (spool / "run-1").exists()
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path))
    assert main(["track", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["waits"], row["problem"]) for row in rows] == [
        ("run-0", told.problems[0]),
        ("run-00", told.problems[1]),
    ]
    assert main(["track", "upload"]) == 5


def test_versions_that_a_deployment_has_dropped_are_to_go_in_mlflow_too(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    place = run.step(StepName.DEPLOY_MODEL) / "deployment.json"
    document = json.loads(place.read_text()) | {"pruned": [{"number": 1, "digest": "old"}]}
    place.write_text(json.dumps(document))
    home = HomeLayout(tmp_path)
    _track(run, StepContext(home, run), TrackingConfig(uri="${NO_SUCH_SERVER}"))
    assert removals(home)["demand"].versions == (VersionSpec(1, "old"),)
