"""Gates: measured values against the limits of the configuration.

A gate is a list of rules. A rule that could not be measured has the value NaN and does not pass. A
refusal is a result, not an exception: it says which rules failed and by how much.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecasting.config.gates import CompressedGateConfig, ModelGateConfig, ServingGateConfig
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.formats import as_limit, as_number

NAN = float("nan")
TOO_GOOD = "too good to be true: a covariate or the features may hold the target's future"


class Direction(StrEnum):
    """On which side of its limit a value must lie; the limit itself passes."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


@dataclass(frozen=True)
class GateResult:
    """One rule, judged.

    rule: name of the setting that holds the limit. margin: distance to the limit as a share of it
    (absolute where the limit is 0), above 0 where there is room, NaN where the value is not finite.
    role: whose value it is: a model role, or the name of a compressed variant. reason: why the rule
    failed beyond the plain comparison; empty where the comparison says it all.
    """

    rule: str
    value: float
    limit: float
    margin: float
    passed: bool
    role: str
    direction: Direction
    reason: str = ""

    def sentence(self) -> str:
        """The result in a few words, for a log line or a summary."""
        sign = "<=" if self.direction is Direction.AT_MOST else ">="
        verdict = "holds" if self.passed else "fails"
        measured = as_number(self.value) if math.isfinite(self.value) else "could not be measured"
        return f"{self.rule} {verdict}: {measured}, must be {sign} {as_limit(self.limit)}" + (
            f" ({self.reason})" if self.reason else ""
        )


@dataclass(frozen=True)
class GateRule:
    """One rule, not yet judged. `reason` is kept in the result only where the rule fails."""

    rule: str
    value: float
    limit: float
    direction: Direction = Direction.AT_MOST
    role: str = ModelRole.CANDIDATE.value
    reason: str = ""

    def judge(self) -> GateResult:
        """Compare the value with the limit; a value that is not finite never passes."""
        finite = math.isfinite(self.value)
        room = self.limit - self.value if self.direction is Direction.AT_MOST else self.value - self.limit
        passed = finite and room >= 0
        margin = (room / abs(self.limit) if self.limit else room) if finite else NAN
        return GateResult(
            rule=self.rule,
            value=float(self.value),
            limit=float(self.limit),
            margin=margin,
            passed=passed,
            role=self.role,
            direction=self.direction,
            reason="" if passed else self.reason,
        )


@dataclass(frozen=True)
class GateDecision:
    """Verdict of a gate. variant: name of the variant to ship, where the gate chooses one."""

    passed: bool
    rules: tuple[GateResult, ...]
    reason: str
    variant: str | None = None


def decide(rules: Sequence[GateRule]) -> GateDecision:
    """Judge all rules; the gate passes when every one does.

    Raises:
        ValueError: There is no rule: a gate without rules would let anything pass.
    """
    if not rules:
        raise ValueError("a gate must have at least one rule")
    results = tuple(rule.judge() for rule in rules)
    failed = [result for result in results if not result.passed]
    reason = "; ".join(result.sentence() for result in failed) or f"all {len(results)} rules hold"
    return GateDecision(passed=not failed, rules=results, reason=reason)


@dataclass(frozen=True)
class ModelGateReport:
    """What the gate of the float model judges; NaN where it could not be measured, none where there is none.

    mae, rmse: unit of the target. naive_ratio: WAPE over that of the better seasonal naive on the
    same steps. cold_start_naive_ratio: the same in the slice cold_start. champion_ratio: MAE over the
    champion's on the steps that both forecast. coverage: share of actuals between the outer quantiles.
    champion_problem: why the champion could not be scored. cutoff_lag_days: days by which this run's
    cutoff lies before the champion's; none without a champion.
    """

    mae: float
    rmse: float
    naive_ratio: float
    coverage: float
    cold_start_naive_ratio: float = NAN
    champion_ratio: float | None = None
    champion_problem: str = ""
    cutoff_lag_days: float | None = None


@dataclass(frozen=True)
class ChampionLimit:
    """float_ratio: MAE of the float model over the champion's; max_ratio: limit for what ships."""

    float_ratio: float
    max_ratio: float


def model_rules(report: ModelGateReport, limits: ModelGateConfig) -> list[GateRule]:
    """Rules of evaluate_model. Optional limits and an absent champion make no rule."""
    rules = [
        GateRule("max_mae", report.mae, limits.max_mae),
        GateRule("max_rmse", report.rmse, limits.max_rmse),
        GateRule("max_naive_ratio", report.naive_ratio, limits.max_naive_ratio),
        GateRule("min_naive_ratio", report.naive_ratio, limits.min_naive_ratio, Direction.AT_LEAST, reason=TOO_GOOD),
    ]
    rules += _champion_rules(report, limits)
    if limits.max_cold_start_naive_ratio is not None:
        rules.append(
            GateRule(
                "max_cold_start_naive_ratio",
                report.cold_start_naive_ratio,
                limits.max_cold_start_naive_ratio,
                reason="" if math.isfinite(report.cold_start_naive_ratio) else "the slice cold_start is empty",
            )
        )
    if limits.min_coverage is not None:
        rules.append(GateRule("min_coverage", report.coverage, limits.min_coverage, Direction.AT_LEAST))
    if limits.max_coverage is not None:
        rules.append(GateRule("max_coverage", report.coverage, limits.max_coverage))
    return rules


def _champion_rules(report: ModelGateReport, limits: ModelGateConfig) -> list[GateRule]:
    rules = []
    unscorable = bool(report.champion_problem)
    if report.champion_ratio is not None and not (unscorable and limits.replace_unscorable_champion):
        reason = report.champion_problem
        if unscorable:
            reason += "; gates.model.replace_unscorable_champion: true replaces it"
        rules.append(GateRule("max_champion_ratio", report.champion_ratio, limits.max_champion_ratio, reason=reason))
    if report.cutoff_lag_days is not None:
        older = "the champion knows later values; a run for the past does not replace it"
        rules.append(GateRule("max_cutoff_lag_days", report.cutoff_lag_days, 0.0, reason=older))
    return rules


def compressed_rules(
    variant: str,
    limits: CompressedGateConfig,
    *,
    mae: float,
    rmse: float,
    float_mae: float,
    champion: ChampionLimit | None = None,
) -> list[GateRule]:
    """Rules of evaluate_compressed for one variant.

    Args:
        variant: Name of the variant; becomes the role of the results.
        limits: Limits.
        mae: Mean absolute error of the variant, unit of the target.
        rmse: Root mean squared error of the variant.
        float_mae: Mean absolute error of the float model on the same steps.
        champion: The champion's rule for what ships; none without a scored champion.
    """
    increase = mae / float_mae - 1 if float_mae > 0 else NAN
    rules = [
        GateRule("max_mae", mae, limits.max_mae, role=variant),
        GateRule("max_rmse", rmse, limits.max_rmse, role=variant),
        GateRule("max_mae_increase_ratio", increase, limits.max_mae_increase_ratio, role=variant),
    ]
    if champion is not None:
        ratio = champion.float_ratio * (1.0 + increase)
        rules.append(GateRule("max_champion_ratio", ratio, champion.max_ratio, role=variant))
    return rules


def serving_rules(limits: ServingGateConfig, *, latency_ms: float, difference_ratio: float) -> list[GateRule]:
    """Rules of validate_serving.

    Args:
        limits: Limits.
        latency_ms: 99th percentile of a single forecast over gRPC, milliseconds.
        difference_ratio: Largest difference between the answers of gRPC, REST and in-process, as a
            share of the mean absolute forecast.
    """
    return [
        GateRule("max_latency_ms", latency_ms, limits.max_latency_ms),
        GateRule("max_difference_ratio", difference_ratio, limits.max_difference_ratio),
    ]


def write_decision(decision: GateDecision, path: Path) -> None:
    """Write a decision as JSON; values that are not finite become null."""
    document = asdict(decision)
    for rule in document["rules"]:
        for name in ("value", "limit", "margin"):
            rule[name] = rule[name] if math.isfinite(rule[name]) else None
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def read_decision(path: Path) -> GateDecision:
    """Read a decision written by `write_decision`; null becomes NaN.

    Raises:
        ArtifactError: The file is missing or no decision.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rules = tuple(_result(rule) for rule in document["rules"])
        return GateDecision(document["passed"], rules, document["reason"], document["variant"])
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} must hold the decision of a gate: {error}; run the step again") from error


def _result(document: dict[str, Any]) -> GateResult:
    numbers = {name: NAN if document[name] is None else float(document[name]) for name in ("value", "limit", "margin")}
    return GateResult(**{**document, **numbers, "direction": Direction(document["direction"])})
