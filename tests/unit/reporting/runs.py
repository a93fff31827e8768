"""Small runs as the steps leave them behind, written by the real writers."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from components.deployment.deploy_model import DeploymentRecord
from components.deployment.measures import LatencyReport
from components.deployment.validate_serving import ServingReport
from components.evaluation.evaluate_compressed import CompressedEvaluationReport
from components.evaluation.evaluate_model import ChampionSource, judge_candidate
from components.evaluation.judge_variants import judge_variants
from components.validation.profile import profile_store
from components.validation.report import CheckRecord, Severity, ValidationReport, write_report
from forecasting.backtest.summary import BacktestReport, read_backtest_report, write_backtest_report
from forecasting.cache import STEP_KINDS
from forecasting.config.compression import CompressionConfig
from forecasting.config.gates import CompressedGateConfig, GatesConfig, ModelGateConfig, ServingGateConfig
from forecasting.config.root import EvaluateCompressedSettings, EvaluateModelSettings
from forecasting.config.sections import BacktestConfig, ForecastConfig, ServingConfig
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import PARENTS, StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.features.spec import FeatureSpec, write_feature_spec
from forecasting.gates import decide, serving_rules, write_decision
from forecasting.manifests import load_manifest, write_manifest
from forecasting.predictors import Predictor
from forecasting.runs import RunRecord, StepRecord, create_run, load_run, write_step
from forecasting.served_forecast import ForecastRecord, SeriesForecastRecord
from forecasting.tournament import VariantRecord, VariantStatus, write_tournament
from tests.unit.backtest.tables import HOUR_S, LEVELS, KnownColumnPredictor, daily_wave, hourly_spec, hourly_store
from tests.unit.forecasting.series_stores import write_series_store

GATES = GatesConfig(
    model=ModelGateConfig(max_mae=0.5, max_rmse=0.6, max_naive_ratio=0.6, max_champion_ratio=1.02),
    compressed=CompressedGateConfig(max_mae=0.5, max_rmse=0.6),
    serving=ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3),
)
FORECAST = ForecastConfig(horizon=24, context=48, segment=24, seasons=(24, 48))
DEMAND = daily_wave(10)
STORE = hourly_store({"Demand": [DEMAND], "Copy": [DEMAND]})
SPEC = hourly_spec(known=("Copy",))
CONFIG = "name: demand\nfeatures:\n  calendar_time_zone: Australia/Melbourne\n"


def begin_run(root: Path, *, created: float = 1_700_000_000.0) -> RunLayout:
    """A run that has not begun any step."""
    record = RunRecord("run-1", "demand", created, None, "0" * 64)
    run = create_run(HomeLayout(root), record)
    run.config.write_text(CONFIG)
    return run


def end_step(run: RunLayout, step: StepName, *, status: RunStatus = RunStatus.SUCCEEDED, summary: str = "") -> None:
    """Manifest and record of a step whose payload is written."""
    parents = {parent: load_manifest(run.step(parent)).payload_digest for parent in PARENTS[step]}
    write_manifest(run.step(step), STEP_KINDS[step], parents=parents)
    write_step(run, StepRecord(step, status, 1.0, duration_s=2.0, peak_rss_bytes=1_000_000, summary=summary))


def fail_step(run: RunLayout, step: StepName, *, status: RunStatus = RunStatus.FAILED) -> None:
    """Record of a step without an output."""
    write_step(run, StepRecord(step, status, 1.0, error_type="ArtifactError", error="the disk <is> full", exit_code=1))


def add_validation(run: RunLayout, *, problem: str = "") -> None:
    """validate_data, refused where there is a problem."""
    output = run.step(StepName.VALIDATE_DATA)
    output.mkdir()
    write_series_store(STORE, output)
    (output / "profile.json").write_text(json.dumps(asdict(profile_store(output))))
    checks = [CheckRecord("gaps", True, Severity.FAIL, 0, 0, "no gap")]
    if problem:
        checks.append(CheckRecord("duplicates", False, Severity.FAIL, 1, 0, problem))
    report = ValidationReport(
        not problem, "demand.csv", 240, 1, 240, HOUR_S, "1970-01-05", "1970-01-15T00:00:00Z", (), tuple(checks)
    )
    write_report(report, output / "report.json")
    status = RunStatus.REFUSED if problem else RunStatus.SUCCEEDED
    end_step(run, StepName.VALIDATE_DATA, status=status, summary=problem or "240 steps")


def add_training(run: RunLayout) -> None:
    """build_features and train_model, without a network."""
    features = run.step(StepName.BUILD_FEATURES)
    features.mkdir()
    write_feature_spec(SPEC, features / "feature_spec.json")
    end_step(run, StepName.BUILD_FEATURES)
    model = run.step(StepName.TRAIN_MODEL)
    model.mkdir()
    write_feature_spec(SPEC, model / "feature_spec.json")
    losses = [(1, 0.9, 0.8), (2, 0.5, 0.6), (3, 0.4, 0.65)]
    rows = [
        {"epoch": epoch, "train_loss": train, "validation_loss": held_out, "learning_rate": 1e-3, "duration_s": 1.0}
        for epoch, train, held_out in losses
    ]
    (model / "history.json").write_text(json.dumps(rows))
    (model / "report.json").write_text(json.dumps({"best_epoch": 2, "loss": "quantile loss"}))
    end_step(run, StepName.TRAIN_MODEL)


def add_evaluation(
    run: RunLayout, *, offset: float = 0.25, champion: ChampionSource | None = None, spec: FeatureSpec = SPEC,
    candidate: Predictor | None = None,
) -> bool:  # fmt: skip
    """evaluate_model of a candidate that is off by `offset`; the naive has an MAE of 1."""
    output = run.step(StepName.EVALUATE_MODEL)
    output.mkdir()
    settings = EvaluateModelSettings(name="demand", forecast=FORECAST, backtest=BacktestConfig(stride=24), gates=GATES)
    candidate = candidate or KnownColumnPredictor(offset=offset, half_width=1.0)
    outcome = judge_candidate(settings, STORE, spec=spec, candidate=candidate, champion=champion, output=output)
    status = RunStatus.SUCCEEDED if outcome.passed else RunStatus.REFUSED
    end_step(run, StepName.EVALUATE_MODEL, status=status, summary=outcome.summary)
    return outcome.passed


def add_compression(run: RunLayout) -> None:
    """compress_model and evaluate_compressed: two variants that pass, one of which fails, one rejected."""
    output = run.step(StepName.COMPRESS_MODEL)
    output.mkdir()
    variants = [
        VariantRecord("saved_model", "", VariantStatus.BUILT, "", 3_650_000, 2_290_000, 4.7, 21.0, 0.0, 0.0, 0.0),
        VariantRecord("tflite_int8", "a", VariantStatus.BUILT, "", 772_000, 611_000, 0.25, 0.5, 0.01, 3.3e-4, 0.0),
        VariantRecord("pruned_tflite_int8", "b", VariantStatus.BUILT, "", 771_000, 447_000, 0.25, 0.5, 0.02, 4e-4, 0.5),
        VariantRecord("tflite_float32", "", VariantStatus.REJECTED, "the converter failed"),
    ]
    write_tournament(variants, output / "tournament.json")
    end_step(run, StepName.COMPRESS_MODEL)
    judged = run.step(StepName.EVALUATE_COMPRESSED)
    judged.mkdir()
    reference = read_backtest_report(run.step(StepName.EVALUATE_MODEL) / "metrics.json")
    report = _scored(reference, {"tflite_int8": 1.002, "pruned_tflite_int8": 1.05})
    settings = EvaluateCompressedSettings(
        name="demand",
        forecast=FORECAST,
        backtest=BacktestConfig(stride=24),
        gates=GATES,
        compression=CompressionConfig(max_accuracy_loss=0.02),
        serving=ServingConfig(),
    )
    decision, outcomes = judge_variants(settings, tuple(variants), report, measures={}, failures={})
    write_backtest_report(report, judged / "metrics.json")
    write_decision(decision, judged / "decision.json")
    text = json.dumps(asdict(CompressedEvaluationReport(decision.variant or "", decision.reason, outcomes)))
    (judged / "report.json").write_text(text)
    end_step(run, StepName.EVALUATE_COMPRESSED, summary=decision.reason)


def add_deployment(run: RunLayout, *, approval: str = "") -> None:
    """validate_serving and deploy_model, which leaves a candidate where a person must approve."""
    serving = run.step(StepName.VALIDATE_SERVING)
    serving.mkdir()
    decision = decide(serving_rules(GATES.serving, latency_ms=1.4, difference_ratio=2e-7))
    write_decision(decision, serving / "decision.json")
    latency = LatencyReport(0.9, 1.4, 200, 1_050.0)
    report = ServingReport("tflite_int8", 16, 4, 4_600_000, 2e-7, 2e-7, latency, latency, 0.7)
    (serving / "report.json").write_text(json.dumps(asdict(report)))
    end_step(run, StepName.VALIDATE_SERVING)
    deployed = run.step(StepName.DEPLOY_MODEL)
    deployed.mkdir()
    record = DeploymentRecord(
        "demand", 7, 6, "tflite_int8", run.name, 0, "series", "d" * 64, False, 1.0, 0.0, 1e-4,
        approval=approval,
    )  # fmt: skip
    (deployed / "deployment.json").write_text(json.dumps(asdict(record)))
    (deployed / "forecast.json").write_text(json.dumps(_forecast().as_document()))
    end_step(run, StepName.DEPLOY_MODEL, summary="version 7 (tflite_int8) promoted to champion")


def whole_run(root: Path, *, approval: str = "") -> RunLayout:
    """A run that promoted version 7, or left it for approval."""
    run = begin_run(root)
    add_validation(run)
    add_training(run)
    add_evaluation(run)
    add_compression(run)
    add_deployment(run, approval=approval)
    assert load_run(run).steps[StepName.DEPLOY_MODEL].status == RunStatus.SUCCEEDED
    return run


def _scored(reference: BacktestReport, factors: dict[str, float]) -> BacktestReport:
    candidate = asdict(reference.models["candidate"])
    models = {"saved_model": reference.models["candidate"]}
    for name, factor in factors.items():
        overall = {
            key: value * factor if key in ("mae", "rmse") else value for key, value in candidate["overall"].items()
        }
        models[name] = type(reference.models["candidate"])(overall, candidate["by_step"], candidate["slices"])
    return BacktestReport(**{**asdict(reference), "models": models})


def _forecast() -> ForecastRecord:
    series = STORE.series[0]
    stamps = series.timestamps(HOUR_S)
    values = series.values[:, 0]
    quantiles = np.stack([values[216:] - 2, values[216:] + 0.3, values[216:] + 2], axis=1)
    record = SeriesForecastRecord(
        id="s0",
        history_timestamps=tuple(stamps[48:216].tolist()),
        history=(None, *values[49:216].tolist()),
        timestamps=tuple(stamps[216:].tolist()),
        actuals=tuple(values[216:].tolist()),
        quantiles=tuple(tuple(row) for row in quantiles.tolist()),
        levels=LEVELS,
    )
    return ForecastRecord("demand", 7, "Demand", HOUR_S, int(stamps[216]), (record,), 1e-4, 1e-6)
