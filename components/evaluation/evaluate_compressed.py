"""Step evaluate_compressed: the same backtest for every compressed variant, own limits, and the choice of one.

No TensorFlow here: variants run in LiteRT, and the float model was scored by evaluate_model.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.evaluation.choose_variant import ScoredVariantRecord, choose_variant
from forecasting.backtest.report import open_backtest, score_backtest
from forecasting.backtest.sanity import SanityReport, check_sanity
from forecasting.backtest.score import ForecastRecord, score_predictors, write_scores
from forecasting.backtest.summary import (
    SERIES_SCORES_FILE,
    BacktestReport,
    read_backtest_report,
    write_backtest_report,
    write_series_scores,
)
from forecasting.config.root import EvaluateCompressedSettings
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    FEATURE_SPEC_FILE,
    METRICS_FILE,
    REPORT_FILE,
    SCORES_FILE,
    TOURNAMENT_FILE,
)
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.features.spec import read_feature_spec
from forecasting.formats import as_number
from forecasting.gates import (
    ChampionLimit,
    GateDecision,
    GateResult,
    compressed_rules,
    sanity_rules,
    write_decision,
)
from forecasting.predictors import LitePredictor
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus, read_tournament

logger = logging.getLogger(__name__)

CHAMPION_RATIO = "champion_ratio"
"""Key of evaluate_model's `ratios`: MAE of the float model over the champion's."""


@dataclass(frozen=True)
class CompressedEvaluationReport:
    """What became of each variant. outcomes: variant → shipped, passed, or why not."""

    variant: str
    reason: str
    outcomes: Mapping[str, str]


def evaluate_compressed(
    settings: EvaluateCompressedSettings,
    inputs: Mapping[StepName, Path],
    output: Path,
    context: StepContext,  # noqa: ARG001 - the step protocol
) -> StepOutcome:
    """Score the variants that were built, judge each, and name the one to ship.

    The float SavedModel is judged by the same limits as its variants. A variant that fails is left
    behind and named; the run is refused when none passes.

    Args:
        settings: Backtest, limits and what serving prefers.
        inputs: Series store, feature spec of train_model, metrics of evaluate_model, variants of compress_model.
        output: Receives scores.parquet, series_scores.parquet, metrics.json, decision.json (with `variant`) and report.json.
        context: Not used.

    Returns:
        Passed where one may ship, with its name.

    Raises:
        DataError: The test period holds no horizon or no actual.
        ArtifactError: A variant cannot be loaded or answers another shape; the float model was
            scored on other steps.
    """
    variants = read_tournament(inputs[StepName.COMPRESS_MODEL] / TOURNAMENT_FILE)
    reference = read_backtest_report(inputs[StepName.EVALUATE_MODEL] / METRICS_FILE)
    report, sanity = _score(settings, inputs, variants=variants, reference=reference, output=output)
    write_backtest_report(report, output / METRICS_FILE)
    decision, outcomes = judge_variants(settings, variants, report, sanity=sanity)
    write_decision(decision, output / DECISION_FILE)
    compressed = CompressedEvaluationReport(decision.variant or "", decision.reason, outcomes)
    (output / REPORT_FILE).write_text(json.dumps(asdict(compressed), indent=1), encoding="utf-8")
    return StepOutcome(decision.passed, f"ships {decision.reason}" if decision.passed else decision.reason)


def _score(
    settings: EvaluateCompressedSettings,
    inputs: Mapping[StepName, Path],
    *,
    variants: tuple[VariantRecord, ...],
    reference: BacktestReport,
    output: Path,
) -> tuple[BacktestReport, dict[str, SanityReport]]:
    """Accuracy of the float model and its variants, and whether the forecasts of the variants are sane."""
    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    spec = read_feature_spec(inputs[StepName.TRAIN_MODEL] / FEATURE_SPEC_FILE)
    backtest = open_backtest(store, spec, settings=settings.backtest)
    if backtest.n_points != reference.n_points:
        raise ArtifactError(
            f"variants must be scored on the {reference.n_points} steps of evaluate_model, "
            f"this backtest has {backtest.n_points}; run evaluate_model again"
        )
    folder = inputs[StepName.COMPRESS_MODEL]
    predictors = {
        variant.name: LitePredictor(folder / variant.path)
        for variant in variants
        if variant.status is VariantStatus.BUILT and not variant.is_float_reference
    }
    forecasts: dict[str, ForecastRecord] = {}
    if predictors:
        size = settings.backtest.batch_size
        forecasts = score_predictors(predictors, spec, backtest=backtest, batch_size=size)
    write_scores(output / SCORES_FILE, backtest, forecasts=forecasts)
    scores = score_backtest(store, spec, backtest=backtest, forecasts=forecasts, settings=settings.backtest)
    write_series_scores(output / SERIES_SCORES_FILE, backtest, scores=scores.series)
    start = store.spec.split.test_start
    sanity = {name: check_sanity(backtest, record, test_start=start) for name, record in forecasts.items()}
    return _with_reference(scores.report, reference), sanity


def _with_reference(scored: BacktestReport, reference: BacktestReport) -> BacktestReport:
    """The variants after the float model, with every variant's MAE over the float model's as `ratios`."""
    candidate = reference.models[ModelRole.CANDIDATE.value]
    error = candidate.overall["mae"]
    kept = {name: value for name, value in reference.ratios.items() if name == CHAMPION_RATIO}
    return BacktestReport(
        models={FLOAT_REFERENCE: candidate, **scored.models},
        n_origins=scored.n_origins,
        n_series=scored.n_series,
        n_points=scored.n_points,
        unit=scored.unit,
        interval=scored.interval,
        ratios={**kept, **{name: model.overall["mae"] / error for name, model in scored.models.items() if error > 0}},
    )


def judge_variants(
    settings: EvaluateCompressedSettings,
    variants: tuple[VariantRecord, ...],
    report: BacktestReport,
    *,
    sanity: Mapping[str, SanityReport],
) -> tuple[GateDecision, dict[str, str]]:
    """Judge each scored variant by the rules of the compressed gate and choose the one to ship.

    Args:
        settings: Limits and what serving prefers.
        variants: The float model first.
        report: Accuracy of each, those that could not be built left out.
        sanity: Of the forecasts of each variant; the float model's were judged before.

    Returns:
        The decision with the results of every variant's rules, and what became of each variant.
    """
    float_mae = report.models[FLOAT_REFERENCE].overall["mae"]
    limit = _champion_limit(settings, report)
    eligible: list[ScoredVariantRecord] = []
    results: list[GateResult] = []
    outcomes = {variant.name: f"{variant.status.value.replace('_', ' ')}: {variant.reason}" for variant in variants}
    for variant in variants:
        if variant.name not in report.models:
            continue
        scores = report.models[variant.name].overall
        limits, mae, rmse = settings.gates.compressed, scores["mae"], scores["rmse"]
        rules = compressed_rules(variant.name, limits, mae=mae, rmse=rmse, float_mae=float_mae, champion=limit)
        sane = sanity_rules(sanity[variant.name], settings.gates, role=variant.name) if variant.name in sanity else []
        judged = [rule.judge() for rule in [*sane, *rules]]
        results += judged
        failed = [result.sentence() for result in judged if not result.passed]
        outcomes[variant.name] = "; ".join(failed) or "passed"
        if not failed:
            eligible.append(ScoredVariantRecord(variant, mae))
        logger.info("%s: MAE %s, %s", variant.name, as_number(mae), outcomes[variant.name])
    if not eligible:
        reason = "no variant passed: " + "; ".join(f"{name}: {text}" for name, text in outcomes.items())
        return GateDecision(False, tuple(results), reason), outcomes
    reference = ScoredVariantRecord(variants[0], float_mae)
    chosen = choose_variant(eligible, reference=reference, prefer=settings.serving.prefer)
    outcomes[chosen.name] = "shipped"
    return GateDecision(True, tuple(results), chosen.reason, variant=chosen.name), outcomes


def _champion_limit(settings: EvaluateCompressedSettings, report: BacktestReport) -> ChampionLimit | None:
    ratio = report.ratios.get(CHAMPION_RATIO)
    limits = settings.gates.model
    return (
        None
        if ratio is None
        else ChampionLimit(ratio, limits.max_champion_ratio, min_improvement=limits.min_champion_improvement)
    )
