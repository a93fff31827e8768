"""Judge every variant by the rules of the compressed gate, and name the one to ship."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from components.evaluation.choose_variant import ScoredVariantRecord, choose_variant
from forecasting.backtest.sanity import SanityReport
from forecasting.backtest.summary import BacktestReport
from forecasting.config.root import EvaluateCompressedSettings
from forecasting.formats import as_number
from forecasting.gates import (
    NAN,
    ChampionLimit,
    GateDecision,
    GateResult,
    VariantGateReport,
    compressed_rules,
    sanity_rules,
)
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord

logger = logging.getLogger(__name__)

CHAMPION_RATIO = "champion_ratio"
"""Key of evaluate_model's `ratios`: MAE of the float model over the champion's."""


@dataclass(frozen=True)
class VariantMeasures:
    """What the gate judges of a variant's forecasts besides its accuracy over all; see `VariantGateReport`."""

    sanity: SanityReport
    worst_series_loss: float = NAN


def judge_variants(
    settings: EvaluateCompressedSettings,
    variants: tuple[VariantRecord, ...],
    report: BacktestReport,
    *,
    measures: Mapping[str, VariantMeasures],
    failures: Mapping[str, str],
) -> tuple[GateDecision, dict[str, str]]:
    """Judge each scored variant by the rules of the compressed gate and choose the one to ship.

    Args:
        settings: Limits and what serving prefers.
        variants: The float model first.
        report: Accuracy of each, those that could not be built left out.
        measures: Of each variant but the float model, which was judged before.
        failures: Why a variant that was built could not be scored.

    Returns:
        The decision with the results of every variant's rules, and what became of each variant.
    """
    eligible: list[ScoredVariantRecord] = []
    results: list[GateResult] = []
    outcomes = {variant.name: f"{variant.status.value.replace('_', ' ')}: {variant.reason}" for variant in variants}
    outcomes |= {name: f"failed: {reason}" for name, reason in failures.items()}
    for variant in variants:
        if variant.name not in report.models:
            continue
        judged = _judge(settings, report, variant, measures.get(variant.name))
        results += judged
        failed = [result.sentence() for result in judged if not result.passed]
        outcomes[variant.name] = "; ".join(failed) or "passed"
        mae = report.models[variant.name].overall["mae"]
        if not failed:
            eligible.append(ScoredVariantRecord(variant, mae))
        logger.info("%s: MAE %s, %s", variant.name, as_number(mae), outcomes[variant.name])
    if not eligible:
        return GateDecision(False, tuple(results), f"no variant passed: {_sentence(outcomes)}"), outcomes
    reference = ScoredVariantRecord(variants[0], report.models[FLOAT_REFERENCE].overall["mae"])
    chosen = choose_variant(eligible, reference=reference, prefer=settings.serving.prefer)
    tried = {name: text for name, text in outcomes.items() if name != FLOAT_REFERENCE}
    alone = len(eligible) == 1 and chosen.name == FLOAT_REFERENCE
    reason = f"{chosen.reason} ({_sentence(tried)})" if alone and tried else chosen.reason
    outcomes[chosen.name] = "shipped"
    return GateDecision(True, tuple(results), reason, variant=chosen.name), outcomes


def _judge(
    settings: EvaluateCompressedSettings,
    report: BacktestReport,
    variant: VariantRecord,
    measures: VariantMeasures | None,
) -> list[GateResult]:
    name = variant.name
    scores, reference = report.models[name].overall, report.models[FLOAT_REFERENCE].overall
    measured = VariantGateReport(
        mae=scores["mae"],
        rmse=scores["rmse"],
        float_mae=reference["mae"],
        coverage=scores["coverage"],
        float_coverage=reference["coverage"],
        # The float model loses nothing to itself.
        worst_series_loss=measures.worst_series_loss if measures else 0.0,
        extreme_ratio=_known(variant.extreme_ratio) if measures else 0.0,
        extreme_windows=variant.extreme_windows,
    )
    rules = compressed_rules(
        name,
        settings.gates.compressed,
        report=measured,
        max_accuracy_loss=settings.compression.max_accuracy_loss,
        champion=_champion_limit(settings, report),
    )
    sane = sanity_rules(measures.sanity, settings.gates, role=name) if measures else []
    return [rule.judge() for rule in [*sane, *rules]]


def _known(ratio: float | None) -> float:
    return NAN if ratio is None else ratio


def _champion_limit(settings: EvaluateCompressedSettings, report: BacktestReport) -> ChampionLimit | None:
    ratio = report.ratios.get(CHAMPION_RATIO)
    limits = settings.gates.model
    return (
        None
        if ratio is None
        else ChampionLimit(ratio, limits.max_champion_ratio, min_improvement=limits.min_champion_improvement)
    )


def _sentence(outcomes: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in outcomes.items())
