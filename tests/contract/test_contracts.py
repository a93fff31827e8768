"""The seams that all parts agree on. `golden/contracts.json` freezes them as a whole."""

import re
from pathlib import Path

import numpy as np
import pytest

from forecasting.cache import STEP_KINDS
from forecasting.config.root import STEP_SETTINGS
from forecasting.contracts import CONTRACT_VERSION, metric_names, ports, signature
from forecasting.contracts.artifacts import MANIFEST_FILE, SCHEMA_VERSIONS, ArtifactKind
from forecasting.contracts.codes import KILLED, RETRYABLE_CODES, ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.contracts.metric_spec import MetricKind, MetricSource, MetricSpec
from forecasting.contracts.signature import SignatureSpec
from forecasting.contracts.steps import GATES, PARENTS, StepName
from forecasting.contracts.vocabulary import CovariateRole, ModelRole, RunStatus, served_name
from forecasting.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    ModelRefusedError,
    NotInThisVersionError,
    RemoteError,
    RetryableError,
    StoppedError,
)
from forecasting.features.spec import CalendarSpec, FeatureSpec, FourierSpec, ScalerSpec
from forecasting.features.terms import RollingTerm
from forecasting.manifests import load_manifest, write_manifest
from tests.contract.contract_snapshot import read_golden, snapshot

ROOT = Path(__file__).parents[2]


def test_a_change_of_the_contract_raises_its_version():
    assert snapshot() == read_golden(), (
        "forecasting/contracts changed: raise CONTRACT_VERSION, add a line under Contracts to CHANGELOG.md, "
        "then run python -m tests.contract.contract_snapshot"
    )


def test_the_changelog_tells_of_the_contract_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"Contract version {CONTRACT_VERSION}:" in changelog


def test_serving_default_takes_history_and_future_and_gives_quantiles():
    spec = SignatureSpec(
        history_length=359,
        horizon=24,
        n_history_columns=11,
        n_future_columns=10,
        n_static_columns=0,
        quantiles=(0.1, 0.5, 0.9),
    )
    assert spec.input_shapes() == {"history": (359, 11), "future": (24, 10)}
    assert spec.output_shapes() == {"quantiles": (24, 3)}


def test_static_is_an_input_only_where_there_are_static_columns():
    spec = SignatureSpec(
        history_length=70, horizon=28, n_history_columns=5, n_future_columns=4, n_static_columns=2, quantiles=(0.5,)
    )
    assert spec.input_shapes()["static"] == (2,)


def test_the_input_order_is_the_alphabetical_one_of_tensorflow():
    names = {signature.HISTORY, signature.FUTURE, signature.STATIC}
    assert list(signature.INPUT_ORDER) == sorted(names)


def test_a_feature_spec_gives_the_signature_of_its_columns():
    calendar = CalendarSpec(
        columns=("is_weekend",), fourier=(FourierSpec(86_400, 2),), transitions=(), offsets_s=(0,), holidays=()
    )
    spec = FeatureSpec(
        target="demand", observed=("cloud",), known=("temperature", "promotion"), static=("store",), categories={"store": ("a",)},
        step_s=3600, context=48, horizon=24, segment=24, seasons=(24,), quantiles=(0.1, 0.5, 0.9), calendar=calendar,
        derived=(RollingTerm("demand", 24, "mean"), RollingTerm("demand", 6, "max")),
        scaler=ScalerSpec({}, {}), target_scaling="train",
    )  # fmt: skip
    # 1 target, 1 observed, 2 known, 1 calendar column and 2 pairs of waves; 23 steps before the context for the window of 24.
    assert spec.signature.input_shapes() == {"history": (71, 9), "future": (24, 7), "static": (1,)}


def test_every_kind_of_artifact_has_a_schema_version_and_one_step_that_makes_it():
    assert set(SCHEMA_VERSIONS) == set(ArtifactKind)
    assert sorted(STEP_KINDS.values()) == sorted(ArtifactKind)
    assert set(STEP_KINDS) == set(StepName)


def test_a_manifest_carries_the_contract_version_and_the_kind(tmp_path):
    (tmp_path / "planes.npy").write_bytes(np.zeros(3).tobytes())
    write_manifest(tmp_path, ArtifactKind.FEATURES, parents={"validate_data": "digest"})
    manifest = load_manifest(tmp_path)
    assert (manifest.kind, manifest.contract_version, manifest.schema_version) == ("features", CONTRACT_VERSION, 1)
    assert (tmp_path / MANIFEST_FILE).is_file()


def test_the_paths_of_a_run_are_below_the_home(tmp_path):
    home = home_layout(tmp_path)
    run = home.run("20140101T000000Z-demand")
    paths = {
        str(path.relative_to(tmp_path))
        for path in (home.models, home.tracking_database, home.serving_database, run.record, run.config,
                     run.step(StepName.TRAIN_MODEL), run.log(StepName.TRAIN_MODEL))
    }  # fmt: skip
    assert paths == {
        "models", "mlflow.db", "serving.db", "runs/20140101T000000Z-demand/run.json", "runs/20140101T000000Z-demand/config.yaml",
        "runs/20140101T000000Z-demand/train_model", "runs/20140101T000000Z-demand/logs/train_model.log",
    }  # fmt: skip


def test_the_home_is_the_argument_then_the_variable_then_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "state"))
    assert home_layout(tmp_path / "given").root == tmp_path / "given"
    assert home_layout().root == tmp_path / "state"
    monkeypatch.delenv("ALMANAC_HOME")
    assert home_layout().root == tmp_path / ".almanac"


def test_the_words_are_the_ones_in_files_metrics_and_commands():
    assert list(ModelRole) == ["champion", "candidate", "previous"]
    assert list(CovariateRole) == ["target", "known", "observed", "static"]
    assert list(RunStatus) == ["running", "succeeded", "refused", "failed", "stopped", "skipped"]


def test_champion_and_candidate_are_two_served_names_and_previous_is_none():
    assert served_name("demand", ModelRole.CHAMPION) == "demand"
    assert served_name("demand", ModelRole.CANDIDATE) == "demand-candidate"
    with pytest.raises(ValueError, match="roll back"):
        served_name("demand", ModelRole.PREVIOUS)


@pytest.mark.parametrize("metric", metric_names.METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_name_is_valid_starts_with_forecast_and_has_known_labels(metric):
    assert re.fullmatch(r"forecast_[a-z][a-z0-9_]*", metric.name)
    # The client library appends the suffixes of counters, infos and histograms itself.
    assert not metric.name.endswith(("_total", "_bucket", "_count", "_sum", "_created", "_info"))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)
    forbidden = {
        "series",
        "series_id",
        "id",
        "request",
        "request_id",
        "client",
        "user",
        "run",
        "path",
        "message",
        "le",
        "job",
        "instance",
    }
    assert not forbidden & set(metric.labels)


@pytest.mark.parametrize("metric", metric_names.METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_says_what_it_is_in_base_units(metric):
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert metric.sources
    assert not re.search(r"_(ms|milliseconds|minutes|hours|percent|kb|mb)$", metric.name)
    assert ("_seconds" in metric.name) == (metric.unit == "seconds")
    assert bool(metric.bounds) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.bounds) == sorted(set(metric.bounds))


def test_no_name_is_used_twice_and_what_is_counted_is_what_is_exposed_with_total():
    assert len(metric_names.METRICS) == sum(isinstance(value, MetricSpec) for value in vars(metric_names).values())
    assert metric_names.REQUESTS.exposed == "forecast_requests_total"
    assert metric_names.BUILD_INFO.exposed == "forecast_build_info"
    assert metric_names.LAST_SCORED.exposed == "forecast_last_scored_timestamp_seconds"
    counted = [metric.exposed for metric in metric_names.METRICS.values()]
    assert len(set(counted)) == len(counted)


def test_a_run_leaves_only_gauges_behind():
    left = [metric for metric in metric_names.METRICS.values() if MetricSource.PIPELINE in metric.sources]
    assert {metric.kind for metric in left} == {MetricKind.GAUGE}


def test_the_ports_are_the_agreed_ones():
    assert (ports.GRPC_PORT, ports.REST_PORT, ports.GATEWAY_PORT, ports.MONITOR_PORT) == (8500, 8501, 8080, 9102)
    assert ports.MODEL_SERVER_METRICS_PATH == "/monitoring/prometheus/metrics"


def test_only_passing_conditions_kills_and_stops_are_retried():
    assert {75, 137, 143} == RETRYABLE_CODES
    assert KILLED == 128 + 9
    assert not {code for code in ExitCode if code in RETRYABLE_CODES} - {ExitCode.RETRY, ExitCode.STOPPED}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2), (NotInThisVersionError, 2), (DataError, 3), (ModelRefusedError, 4), (RemoteError, 5), (ArtifactError, 1),
        (RetryableError, 75), (StoppedError, 143),
    ],
)  # fmt: skip
def test_each_error_has_the_exit_code_of_its_kind(error, code):
    assert error.exit_code == code


def test_a_step_reads_only_steps_that_run_before_it():
    order = list(StepName)
    for step, parents in PARENTS.items():
        assert all(order.index(parent) < order.index(step) for parent in parents), step


def test_every_step_has_parents_settings_and_a_place_in_the_order():
    assert set(PARENTS) == set(StepName)
    assert set(STEP_SETTINGS) == set(StepName)


def test_the_gates_are_the_four_steps_that_answer_yes_or_no():
    assert GATES == ("validate_data", "evaluate_model", "evaluate_compressed", "validate_serving")
