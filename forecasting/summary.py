"""What a run came to, in a few numbers: for the terminal, for `almanac runs show` and for the run report."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from forecasting.backtest.summary import BacktestReport, better_naive, read_backtest_report
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    DEPLOYMENT_FILE,
    METRICS_FILE,
    RUN_REPORT_FILE,
    TOURNAMENT_FILE,
)
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.gates import read_decision
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus, read_tournament

Content = TypeVar("Content")


@dataclass(frozen=True)
class AccuracyReport:
    """One model on the test period. mae, rmse: in the target's unit."""

    name: str
    mae: float
    rmse: float


@dataclass(frozen=True)
class VariantReport:
    """Size and speed of one variant; latency of a single forecast in process. None: not measured."""

    name: str
    size_bytes: int | None
    latency_p50_ms: float | None
    mae: float | None


@dataclass(frozen=True)
class RunSummary:
    """Headline numbers of a run. None where the run did not get that far, or there is none.

    naive: the better seasonal naive. variants: those that were built, the SavedModel first.
    float_model: the SavedModel. shipped: the variant that the compressed gate named. version: in the
    model repository, once deployed. report: report.html, once written.
    """

    run: str
    unit: str
    naive: AccuracyReport | None = None
    champion: AccuracyReport | None = None
    candidate: AccuracyReport | None = None
    variants: tuple[VariantReport, ...] = ()
    float_model: VariantReport | None = None
    shipped: VariantReport | None = None
    version: int | None = None
    previous_version: int | None = None
    report: Path | None = None


def load_run_summary(run: RunLayout) -> RunSummary:
    """Read a summary from whatever steps of a run are there; files that cannot be read count as absent."""
    evaluation = found_or_none(read_backtest_report, run.step(StepName.EVALUATE_MODEL) / METRICS_FILE)
    deployment = found_or_none(read_document, run.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE) or {}
    variants = _built_variants(run)
    decision = found_or_none(read_decision, run.step(StepName.EVALUATE_COMPRESSED) / DECISION_FILE)
    report = run.step(StepName.REPORT_RUN) / RUN_REPORT_FILE
    return RunSummary(
        run=run.name,
        unit=evaluation.unit if evaluation else "",
        naive=_accuracy(evaluation, better_naive(evaluation.models)) if evaluation else None,
        champion=_accuracy(evaluation, ModelRole.CHAMPION.value),
        candidate=_accuracy(evaluation, ModelRole.CANDIDATE.value),
        variants=tuple(variants.values()),
        float_model=variants.get(FLOAT_REFERENCE),
        shipped=variants.get(decision.variant or "") if decision else None,
        version=deployment.get("version"),
        previous_version=deployment.get("previous_version"),
        report=report if report.exists() else None,
    )


def found_or_none(read: Callable[[Path], Content], path: Path) -> Content | None:
    """What a reader makes of a file, or none where the file is missing or cannot be read."""
    try:
        return read(path)
    except ArtifactError:
        return None


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ArtifactError: The file is missing or holds no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path} must hold a JSON object: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a JSON object, found {type(document).__name__}")
    return document


def _accuracy(report: BacktestReport | None, name: str) -> AccuracyReport | None:
    if report is None or name not in report.models:
        return None
    overall = report.models[name].overall
    return AccuracyReport(name, overall["mae"], overall["rmse"])


def _built_variants(run: RunLayout) -> dict[str, VariantReport]:
    tournament = found_or_none(read_tournament, run.step(StepName.COMPRESS_MODEL) / TOURNAMENT_FILE) or ()
    scores = found_or_none(read_backtest_report, run.step(StepName.EVALUATE_COMPRESSED) / METRICS_FILE)
    built = [variant for variant in tournament if variant.status is VariantStatus.BUILT]
    return {variant.name: _variant(variant, scores) for variant in built}


def _variant(variant: VariantRecord, scores: BacktestReport | None) -> VariantReport:
    model = scores.models.get(variant.name) if scores else None
    mae = model.overall["mae"] if model else None
    return VariantReport(variant.name, variant.size_bytes, variant.latency_p50_ms, mae)
