"""Step evaluate_compressed: the same backtest for every compressed variant, own limits, and the choice of one.

No TensorFlow here: variants run in LiteRT, and the float model was scored by evaluate_model.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.evaluation.judge_variants import CHAMPION_RATIO, VariantMeasures, judge_variants
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.report import open_backtest, score_backtest
from forecasting.backtest.sanity import check_sanity
from forecasting.backtest.score import ForecastRecord, score_predictors, write_scores
from forecasting.backtest.summary import (
    SERIES_SCORES_FILE,
    BacktestReport,
    SeriesScoresReport,
    read_backtest_report,
    read_series_mae,
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
from forecasting.gates import NAN, write_decision
from forecasting.predictors import LitePredictor
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus, read_tournament

logger = logging.getLogger(__name__)


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
        ArtifactError: The float model was scored on other steps.
    """
    variants = read_tournament(inputs[StepName.COMPRESS_MODEL] / TOURNAMENT_FILE)
    reference = read_backtest_report(inputs[StepName.EVALUATE_MODEL] / METRICS_FILE)
    scored = _score(settings, inputs, variants=variants, reference=reference, output=output)
    write_backtest_report(scored.report, output / METRICS_FILE)
    decision, outcomes = judge_variants(
        settings, variants, scored.report, measures=scored.measures, failures=scored.failures
    )
    write_decision(decision, output / DECISION_FILE)
    compressed = CompressedEvaluationReport(decision.variant or "", decision.reason, outcomes)
    (output / REPORT_FILE).write_text(json.dumps(asdict(compressed), indent=1), encoding="utf-8")
    return StepOutcome(decision.passed, f"ships {decision.reason}" if decision.passed else decision.reason)


@dataclass(frozen=True)
class _ScoredReport:
    """Accuracy of the float model and its variants, what else the gate looks at in their forecasts, and who has none and why."""

    report: BacktestReport
    measures: Mapping[str, VariantMeasures]
    failures: Mapping[str, str]


def _score(
    settings: EvaluateCompressedSettings,
    inputs: Mapping[StepName, Path],
    *,
    variants: tuple[VariantRecord, ...],
    reference: BacktestReport,
    output: Path,
) -> _ScoredReport:
    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    spec = read_feature_spec(inputs[StepName.TRAIN_MODEL] / FEATURE_SPEC_FILE)
    backtest = open_backtest(store, spec, settings=settings.backtest)
    if backtest.n_points != reference.n_points:
        raise ArtifactError(
            f"variants must be scored on the {reference.n_points} steps of evaluate_model, "
            f"this backtest has {backtest.n_points}; run evaluate_model again"
        )
    predictors, failures = _load(variants, inputs[StepName.COMPRESS_MODEL])
    forecasts: dict[str, ForecastRecord] = {}
    if predictors:
        size = settings.backtest.batch_size
        forecasts = score_predictors(predictors, spec, backtest=backtest, batch_size=size, failures=failures)
    for name, reason in failures.items():
        logger.warning("%s cannot be scored: %s", name, reason)
    write_scores(output / SCORES_FILE, backtest, forecasts=forecasts)
    scores = score_backtest(store, spec, backtest=backtest, forecasts=forecasts, settings=settings.backtest)
    write_series_scores(output / SERIES_SCORES_FILE, backtest, scores=scores.series)
    float_scores = read_series_mae(inputs[StepName.EVALUATE_MODEL] / SERIES_SCORES_FILE, ModelRole.CANDIDATE.value)
    least = settings.gates.compressed.min_series_points
    measures = {
        name: VariantMeasures(
            check_sanity(backtest, record, test_start=store.spec.split.test_start),
            _worst_series_loss(backtest, scores.series[name], float_scores, least=least),
        )
        for name, record in forecasts.items()
    }
    return _ScoredReport(_with_reference(scores.report, reference), measures, failures)


def _load(variants: tuple[VariantRecord, ...], folder: Path) -> tuple[dict[str, LitePredictor], dict[str, str]]:
    """The variants that were built, by name, and why others of them cannot be loaded."""
    predictors: dict[str, LitePredictor] = {}
    failures: dict[str, str] = {}
    for variant in variants:
        if variant.status is VariantStatus.BUILT and not variant.is_float_reference:
            try:
                predictors[variant.name] = LitePredictor(folder / variant.path)
            except ArtifactError as error:
                failures[variant.name] = str(error)
    return predictors, failures


def _worst_series_loss(
    backtest: BacktestSpec, scores: SeriesScoresReport, float_mae: Mapping[str, float], *, least: int
) -> float:
    """Largest increase of the MAE over the float model's among the series with enough steps; NaN where there is none."""
    losses = [
        mae / float_mae[series.id] - 1
        for series, mae, n in zip(backtest.series, scores.scores["mae"], scores.n_points, strict=True)
        if n >= least and float_mae.get(series.id, 0.0) > 0
    ]
    return float(max(losses, default=NAN))


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
