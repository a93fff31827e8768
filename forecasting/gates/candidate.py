"""Judge a candidate by what it did beside the champion: both were asked the same requests."""

import math
from dataclasses import dataclass

from forecasting.config.candidate import JudgementConfig
from forecasting.gates.rules import NAN, GateDecision, GateRule, decide

SHADOW_APPROVAL = "deploy.approval is shadow: what it answers beside the champion decides"
"""What the record of a version says that waits for this judgement, where others wait for a person."""


@dataclass(frozen=True)
class CandidateReport:
    """What was measured of a candidate while both were asked.

    n_requests: that it was asked beside the champion; n_failed: those that it did not answer. champion_p99_s, candidate_p99_s:
    99th percentile of the model's time for the same requests, seconds, NaN without an answer. difference_ratio: sum of absolute
    differences of the point forecasts over that of the champion's, NaN without a pair. n_actuals: steps of both that have an
    actual; champion_mae, candidate_mae: on these, the target's unit, NaN without any.
    """

    n_requests: int
    n_failed: int
    champion_p99_s: float = NAN
    candidate_p99_s: float = NAN
    difference_ratio: float = NAN
    n_actuals: int = 0
    champion_mae: float = NAN
    candidate_mae: float = NAN


def judgement_obstacle(report: CandidateReport, limits: JudgementConfig) -> str:
    """Why nothing can be said yet; empty where it can. Pure.

    Args:
        report: What was measured.
        limits: `gateway.candidate.judgement`.
    """
    if report.n_requests < limits.min_requests:
        return f"{report.n_requests} requests were compared, at least {limits.min_requests} are needed"
    if limits.max_live_error_ratio is not None and report.n_actuals < limits.min_actuals:
        return f"{report.n_actuals} forecast steps have an actual, at least {limits.min_actuals} are needed"
    return ""


def judge_candidate(report: CandidateReport, limits: JudgementConfig) -> GateDecision:
    """Whether a candidate may take the champion's place. Pure.

    Args:
        report: What was measured, without an obstacle.
        limits: `gateway.candidate.judgement`.
    """
    rules = [
        GateRule("max_error_ratio", _ratio(report.n_failed, report.n_requests), limits.max_error_ratio),
        GateRule("max_p99_ratio", _ratio(report.candidate_p99_s, report.champion_p99_s), limits.max_p99_ratio),
        GateRule("max_difference_ratio", report.difference_ratio, limits.max_difference_ratio),
    ]
    if limits.max_live_error_ratio is None:
        return decide(rules, notes=["max_live_error_ratio is null: actuals are not waited for"])
    live = _ratio(report.candidate_mae, report.champion_mae)
    return decide([*rules, GateRule("max_live_error_ratio", live, limits.max_live_error_ratio)])


def _ratio(value: float, base: float) -> float:
    """NaN, which passes no rule, where it cannot be said; equal to a base of 0 is 1."""
    if base > 0:
        return value / base
    return 1.0 if base == 0 and value == 0 else NAN if math.isnan(value) or math.isnan(base) else math.inf
