"""The directory of a finished run, written by the writers of the steps, with numbers that are easy to recognise."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from components.deployment.deploy_model import DeploymentRecord
from components.validation.profile import profile_store
from forecasting.backtest.diagnostics import (
    DIAGNOSTICS_FILE,
    ComparisonReport,
    DiagnosticsReport,
    write_diagnostics,
)
from forecasting.backtest.examples import ExampleReport, pick_examples
from forecasting.backtest.importance import ColumnImportanceReport, ImportanceReport
from forecasting.backtest.report import open_backtest
from forecasting.backtest.residuals import ResidualsReport
from forecasting.backtest.score import ForecastRecord as BacktestForecastRecord
from forecasting.backtest.score import write_scores
from forecasting.backtest.summary import BacktestReport, ModelReport, write_backtest_report
from forecasting.cache import STEP_KINDS
from forecasting.config.sections import BacktestConfig
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    DEPLOYMENT_FILE,
    FEATURE_SPEC_FILE,
    FORECAST_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    PROFILE_FILE,
    SCORES_FILE,
    TOURNAMENT_FILE,
)
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import PARENTS, StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.features.spec import write_feature_spec
from forecasting.gates import GateRule, decide, write_decision
from forecasting.manifests import write_manifest
from forecasting.runs import RunRecord, StepRecord, create_run, write_step
from forecasting.schema import SeriesStore
from forecasting.served_forecast import ForecastRecord, SeriesForecastRecord
from forecasting.tournament import VariantRecord, VariantStatus, write_tournament
from tests.unit.backtest.tables import hourly_spec, hourly_store
from tests.unit.forecasting.series_stores import write_series_store

HOUR_S = 3_600
ORIGIN = 1_400_000_400 - 1_400_000_400 % HOUR_S
HORIZON = 24


def finished_run(home: Path) -> RunLayout:
    """A run whose steps all succeeded, without the report."""
    run = create_run(home_layout(home), RunRecord("20140513T170000Z-demand", "demand", ORIGIN, None, "digest"))
    run.config.write_text("name: demand\nfeatures: {calendar_time_zone: Australia/Melbourne}\n")
    for number, step in enumerate(step for step in steps_of() if step != StepName.REPORT_RUN):
        run.step(step).mkdir()
        write_step(run, StepRecord(step, RunStatus.SUCCEEDED, ORIGIN + number, duration_s=1.5, summary="done"))
    store = hourly_store({"Demand": [5_000 + 800 * np.sin(np.arange(240) * 2 * np.pi / 24)]})
    validated = run.step(StepName.VALIDATE_DATA)
    write_series_store(store, validated)
    (validated / PROFILE_FILE).write_text(json.dumps(asdict(profile_store(validated))))
    epochs = [
        {"epoch": n, "train_loss": 1 / n, "validation_loss": 1.2 / n, "learning_rate": 0.001, "duration_s": 2.0}
        for n in range(1, 9)
    ]
    (run.step(StepName.TRAIN_MODEL) / HISTORY_FILE).write_text(json.dumps(epochs))
    _write_evaluation(run, _write_scores(run, store))
    _write_compression(run)
    _write_deployment(run)
    for step in steps_of():
        if step != StepName.REPORT_RUN:
            parents = {parent.value: "digest" for parent in PARENTS[step]}
            write_manifest(run.step(step), STEP_KINDS[step], parents=parents)
    return run


def _model(error: float) -> ModelReport:
    overall = dict.fromkeys(("mae", "rmse", "bias", "pinball", "interval_width"), error)
    overall |= {"wape": 0.03, "smape": 0.03, "mase": 0.5, "wql": 0.02, "coverage": 0.8, "n_points": 1344}
    steps = {name: tuple(error + 0.5 * step for step in range(HORIZON)) for name in ("mae", "rmse", "bias", "coverage")}
    part = {"mae": error, "rmse": error, "wape": 0.03, "bias": 0.0, "coverage": 0.8, "n_points": 56}
    hours = {f"hour_{hour:02d}": part for hour in range(24)}
    days = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), part)
    levels = {"0.1": {"share_below": 0.14}, "0.5": {"share_below": 0.52}, "0.9": {"share_below": 0.87}}
    intervals = {"0.8": {"coverage": 0.73, "interval_width": 2 * error, "winkler": 4 * error}}
    return ModelReport(overall, steps, hours | days | {"holiday": part}, intervals=intervals, levels=levels)


def diagnostics(examples: tuple[ExampleReport, ...]) -> DiagnosticsReport:
    """Residuals, importance and comparison of the candidate."""
    levels = np.linspace(-2.5, 2.5, 101)
    columns = (
        ColumnImportanceReport("Demand", "target", 300.0, 3.0, 300 / 111 - 1),
        ColumnImportanceReport("calendar", "calendar", 222.0, 2.0, 1.0),
    )
    steps = tuple(111 + 0.5 * step for step in range(HORIZON))
    return DiagnosticsReport(
        residuals=ResidualsReport(
            1344,
            1,
            tuple(0.9**lag for lag in range(1, 49)),
            0.053,
            tuple(levels.tolist()),
            tuple((1.1 * levels).tolist()),
        ),
        importance=ImportanceReport(56, 3, 111.0, columns),
        comparison=ComparisonReport(1344, 56, 1, 111.0, 123.0, steps, tuple(12 + error for error in steps), 1.0, 0.0),
        examples=examples,
    )


def _write_scores(run: RunLayout, store: SeriesStore) -> tuple[ExampleReport, ...]:
    """Forecasts of three days, each off by a little more than the one before."""
    spec = hourly_spec()
    write_feature_spec(spec, run.step(StepName.TRAIN_MODEL) / FEATURE_SPEC_FILE)
    backtest = open_backtest(store, spec, settings=BacktestConfig(stride=24))
    median = backtest.actual + 50.0 * (1 + backtest.folds[:, None])
    quantiles = np.stack([median - 150, median, median + 150], axis=2).astype(np.float32)
    record = BacktestForecastRecord(spec.quantiles, quantiles, np.ones(median.shape, dtype=bool))
    write_scores(run.step(StepName.EVALUATE_MODEL) / SCORES_FILE, backtest, forecasts={"candidate": record})
    return pick_examples(backtest, record)


def _write_evaluation(run: RunLayout, examples: tuple[ExampleReport, ...]) -> None:
    models = {"candidate": _model(111.0), "champion": _model(123.0), "seasonal_naive_24": _model(315.0)}
    report = BacktestReport(models, 56, 1, 1344, "Demand", 0.8, {"naive_ratio": 111 / 315})
    decision = decide([GateRule("max_mae", 111.0, 189.0), GateRule("max_naive_ratio", 111 / 315, 0.6)])
    write_diagnostics(diagnostics(examples), run.step(StepName.EVALUATE_MODEL) / DIAGNOSTICS_FILE)
    for step in (StepName.EVALUATE_MODEL, StepName.EVALUATE_COMPRESSED):
        write_backtest_report(report, run.step(step) / METRICS_FILE)
        write_decision(decision, run.step(step) / DECISION_FILE)
    write_decision(decide([GateRule("max_latency_ms", 3.5, 50.0)]), run.step(StepName.VALIDATE_SERVING) / DECISION_FILE)


def _write_compression(run: RunLayout) -> None:
    measured = {
        "latency_p50_ms": 0.2,
        "latency_p99_ms": 0.4,
        "parity_max_ratio": 1e-6,
        "parity_mean_ratio": 1e-7,
        "sparsity": 0.0,
    }
    variants = [
        VariantRecord(
            "saved_model", "", VariantStatus.BUILT, size_bytes=1_573_000, compressed_bytes=1_400_000, **measured
        ),
        VariantRecord(
            "tflite_int8", "variants/tflite_int8/model.tflite", VariantStatus.BUILT, "", 462_000, 400_000, **measured
        ),
    ]
    write_tournament(variants, run.step(StepName.COMPRESS_MODEL) / TOURNAMENT_FILE)


def _write_deployment(run: RunLayout) -> None:
    past = tuple(float(value) for value in 5_000 + 800 * np.sin(np.arange(168) * 2 * np.pi / 24))
    ahead = past[:HORIZON]
    series = SeriesForecastRecord(
        id="victoria",
        history_timestamps=tuple(ORIGIN + HOUR_S * step for step in range(-168, 0)),
        history=(*past[:40], None, *past[41:]),
        timestamps=tuple(ORIGIN + HOUR_S * step for step in range(HORIZON)),
        actuals=ahead,
        quantiles=tuple((value - 150, value + 20, value + 180) for value in ahead),
        levels=(0.1, 0.5, 0.9),
    )
    forecast = ForecastRecord("demand", 7, "Demand", HOUR_S, ORIGIN, (series,), 0.0, 0.0)
    folder = run.step(StepName.DEPLOY_MODEL)
    (folder / FORECAST_FILE).write_text(json.dumps(forecast.as_document()))
    deployment = DeploymentRecord(
        model="demand", version=7, previous_version=6, variant="tflite_int8", run=run.name, cutoff=ORIGIN + HORIZON * HOUR_S,
        series_dir="", digest="digest", already_champion=False, promoted_at=float(ORIGIN), golden_difference_ratio=0.0,
        grpc_rest_max_difference=0.0,
    )  # fmt: skip
    (folder / DEPLOYMENT_FILE).write_text(json.dumps(asdict(deployment)))
