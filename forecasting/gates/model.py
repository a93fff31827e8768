"""Rules of the float model on the test period, in the order in which they are judged: sanity, then everything else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from forecasting.backtest.sanity import SanityReport
from forecasting.config.gates import ExceedanceGateConfig, GatesConfig, ModelGateConfig, SliceGateConfig
from forecasting.contracts.vocabulary import ModelRole
from forecasting.gates.rules import NAN, Direction, GateDecision, GateRule, decide
from forecasting.metrics.exceedance import ExceedanceReport

TOO_GOOD = "too good to be true: a covariate or the features may hold the target's future"


@dataclass(frozen=True)
class ChampionGateReport:
    """The champion, as far as it could be compared.

    ratio: MAE over the champion's on the steps that both forecast, NaN where there are none. p_value: of being better than
    it. n_common_origins: origins that both have. problem: why it could not be scored at every origin; empty where it was.
    worse_series_share: share of the series with enough steps whose MAE exceeds max_champion_ratio times the champion's,
    NaN where there is none with enough. cutoff_lag_days: days by which this run's cutoff lies before the champion's; none:
    not known.
    """

    ratio: float
    p_value: float
    n_common_origins: int
    problem: str = ""
    worse_series_share: float = NAN
    cutoff_lag_days: float | None = None


@dataclass(frozen=True)
class PartReport:
    """A part of the test period. ratio: MAE over the better seasonal naive's, NaN where the part has too few steps."""

    name: str
    ratio: float
    n_points: int


@dataclass(frozen=True)
class SliceGateReport:
    """Parts with enough steps: the worst series and horizon bucket, and holidays; none: no part has enough."""

    worst_series: PartReport | None = None
    worst_bucket: PartReport | None = None
    holiday: PartReport | None = None


@dataclass(frozen=True)
class ModelGateReport:
    """What the gate of the float model judges; NaN where it could not be measured, none where there is none.

    mae, rmse, bias: unit of the target. naive_ratio: WAPE over that of the better seasonal naive on the same steps,
    naive_p_value: of being better than it. cold_start_naive_ratio: the ratio in the slice cold_start. coverage: share of
    actuals between the outer quantiles, coverages: of other intervals by nominal share. n_origins: of the backtest.
    outlier_ratio: MAE with outliers in the history over that without.
    """

    mae: float
    rmse: float
    naive_ratio: float
    coverage: float
    sanity: SanityReport
    n_origins: int
    mase: float = NAN
    wape: float = NAN
    bias: float = NAN
    naive_p_value: float = NAN
    cold_start_naive_ratio: float = NAN
    coverages: Mapping[float, float] = field(default_factory=dict)
    champion: ChampionGateReport | None = None
    slices: SliceGateReport = field(default_factory=SliceGateReport)
    exceedance: ExceedanceReport | None = None
    outlier_ratio: float = NAN


@dataclass(frozen=True)
class _RulesSpec:
    """Rules to be judged, and sentences on those that are not."""

    rules: tuple[GateRule, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "_RulesSpec") -> "_RulesSpec":
        return _RulesSpec((*self.rules, *other.rules), (*self.notes, *other.notes))


def judge_model(report: ModelGateReport, limits: GatesConfig) -> GateDecision:
    """Verdict on the float model.

    Sanity comes first: where it fails, accuracy is not judged. Optional limits and an absent champion make no rule. Where
    the champion could not be scored at every origin and fewer than `gates.min_common_origins` are left, a person approves.
    """
    sanity = sanity_rules(report.sanity, limits)
    decision = decide(sanity)
    if not decision.passed:
        return decide(sanity, notes=["accuracy was not judged: the forecasts are not sane"])
    fixed = _RulesSpec((*sanity, *_absolute_rules(report, limits.model), *_naive_rules(report, limits.model)))
    found = fixed + _champion_rules(report, limits) + _slice_rules(report, limits)
    found += _exceedance_rules(report.exceedance, limits.exceedance)
    return decide(found.rules, approval=_approval(report, limits), notes=found.notes)


def sanity_rules(report: SanityReport, limits: GatesConfig, *, role: str = ModelRole.CANDIDATE.value) -> list[GateRule]:
    """Rules of what no model may do.

    Args:
        report: What was found.
        limits: Limits.
        role: Whose forecasts they are: a model role, or the name of a compressed variant.
    """
    bounds = limits.sanity
    far = "far outside of the history; is the unit right?"
    return [
        GateRule("max_missing_ratio", report.missing_ratio, bounds.max_missing_ratio, role=role),
        GateRule("max_nonfinite_ratio", report.nonfinite_ratio, bounds.max_nonfinite_ratio, role=role),
        GateRule("max_crossed_ratio", report.crossed_ratio, bounds.max_crossed_ratio, role=role),
        GateRule("max_range_ratio", report.range_ratio, bounds.max_range_ratio, role=role, reason=far),
    ]


def _absolute_rules(report: ModelGateReport, limits: ModelGateConfig) -> list[GateRule]:
    rules = [GateRule("max_mae", report.mae, limits.max_mae), GateRule("max_rmse", report.rmse, limits.max_rmse)]
    optional = (
        ("max_mase", report.mase, limits.max_mase, Direction.AT_MOST),
        ("max_wape", report.wape, limits.max_wape, Direction.AT_MOST),
        ("max_abs_bias", abs(report.bias), limits.max_abs_bias, Direction.AT_MOST),
        ("min_coverage", report.coverage, limits.min_coverage, Direction.AT_LEAST),
        ("max_coverage", report.coverage, limits.max_coverage, Direction.AT_MOST),
        ("max_outlier_ratio", report.outlier_ratio, limits.max_outlier_ratio, Direction.AT_MOST),
    )
    rules += [GateRule(rule, value, limit, side) for rule, value, limit, side in optional if limit is not None]
    for band in limits.coverage_bands:
        found = [value for share, value in report.coverages.items() if math.isclose(share, band.interval, abs_tol=1e-5)]
        value = found[0] if found else NAN
        rules.append(GateRule(f"coverage_bands {band.interval:g} min", value, band.min, Direction.AT_LEAST))
        rules.append(GateRule(f"coverage_bands {band.interval:g} max", value, band.max))
    return rules


def _naive_rules(report: ModelGateReport, limits: ModelGateConfig) -> list[GateRule]:
    ratio = report.naive_ratio
    rules = [
        GateRule("max_naive_ratio", ratio, limits.max_naive_ratio),
        GateRule("min_naive_ratio", ratio, limits.min_naive_ratio, Direction.AT_LEAST, reason=TOO_GOOD),
    ]
    if report.champion is None:
        first = "the first model must beat the seasonal naive"
        rules.append(GateRule("beats_naive", ratio, 1.0, Direction.BELOW, reason=first))
    if limits.max_naive_p_value is not None:
        rules.append(_p_value_rule("max_naive_p_value", report.naive_p_value, limits.max_naive_p_value))
    if limits.max_cold_start_naive_ratio is not None:
        value = report.cold_start_naive_ratio
        empty = "" if math.isfinite(value) else "the slice cold_start is empty"
        rules.append(GateRule("max_cold_start_naive_ratio", value, limits.max_cold_start_naive_ratio, reason=empty))
    return rules


def _p_value_rule(rule: str, value: float, limit: float) -> GateRule:
    few = "" if math.isfinite(value) else "too few origins for a test; lengthen split.test or lower backtest.stride"
    return GateRule(rule, value, limit, reason=few)


def _champion_rules(report: ModelGateReport, gates: GatesConfig) -> _RulesSpec:
    champion, limits = report.champion, gates.model
    if champion is None:
        return _RulesSpec()
    rules = []
    if champion.cutoff_lag_days is not None and not limits.allow_older_cutoff:
        older = "the champion knows later values; `almanac run --promote` lets a run for the past replace it"
        rules.append(GateRule("max_cutoff_lag_days", champion.cutoff_lag_days, 0.0, reason=older))
    if champion.n_common_origins == 0:
        note = f"rules against the champion were not judged: {champion.problem or 'no step is common'}"
        return _RulesSpec(tuple(rules), (note,))
    ratio, improvement, least = champion.ratio, limits.min_champion_improvement, limits.min_champion_ratio
    rules.append(GateRule("max_champion_ratio", ratio, limits.max_champion_ratio))
    if improvement is not None:
        rules.append(GateRule("min_champion_improvement", 1 - ratio, improvement, Direction.AT_LEAST))
    if limits.max_champion_p_value is not None:
        rules.append(_p_value_rule("max_champion_p_value", champion.p_value, limits.max_champion_p_value))
    if least is not None:
        rules.append(GateRule("min_champion_ratio", ratio, least, Direction.AT_LEAST, reason=TOO_GOOD))
    return _RulesSpec(tuple(rules))


def _approval(report: ModelGateReport, gates: GatesConfig) -> str:
    champion, least = report.champion, gates.min_common_origins
    if champion is None or gates.model.replace_unscorable_champion:
        return ""
    n_common = champion.n_common_origins
    if n_common >= min(least, report.n_origins):
        return ""
    why = f": {champion.problem}" if champion.problem else ""
    return (
        f"the champion could be compared at {n_common} of {report.n_origins} origins, and gates.min_common_origins "
        f"asks for {least}{why}"
    )


def _slice_rules(report: ModelGateReport, gates: GatesConfig) -> _RulesSpec:
    limits = gates.slices
    if limits is None:
        return _RulesSpec()
    rules, notes, parts = [], [], report.slices
    for rule, what, part, limit in (
        ("max_worst_series_naive_ratio", "series", parts.worst_series, limits.max_worst_series_naive_ratio),
        ("max_bucket_naive_ratio", "horizon bucket", parts.worst_bucket, limits.max_bucket_naive_ratio),
        ("max_holiday_naive_ratio", "slice", parts.holiday, limits.max_holiday_naive_ratio),
    ):
        if limit is None:
            continue
        if part is None:
            notes.append(_too_few(rule, what, limits))
        else:
            rules.append(GateRule(rule, part.ratio, limit, reason=f"{what} {part.name}, {part.n_points} steps"))
    if limits.max_worse_series_share is not None and report.champion is not None:
        share = report.champion.worse_series_share
        if math.isnan(share):
            notes.append(_too_few("max_worse_series_share", "series that the champion forecast too", limits))
        else:
            rules.append(GateRule("max_worse_series_share", share, limits.max_worse_series_share))
    return _RulesSpec(tuple(rules), tuple(notes))


def _too_few(rule: str, what: str, limits: SliceGateConfig) -> str:
    return f"{rule} was not judged: no {what} has {limits.min_points} steps with an actual"


def _exceedance_rules(report: ExceedanceReport | None, limits: ExceedanceGateConfig | None) -> _RulesSpec:
    if report is None or limits is None:
        return _RulesSpec()
    if report.n_events < limits.min_events:
        note = (
            f"rules of exceedance were not judged: {report.n_events} steps exceed {limits.threshold:g}, "
            f"and gates.exceedance.min_events is {limits.min_events}"
        )
        return _RulesSpec(notes=(note,))
    least = {score: getattr(limits, f"min_{score}") for score in ("accuracy", "precision", "recall", "f1", "auc")}
    rules = [
        GateRule(f"exceedance.min_{score}", getattr(report, score), limit, Direction.AT_LEAST)
        for score, limit in least.items()
        if limit is not None
    ]
    if limits.max_brier is not None:
        rules.append(GateRule("exceedance.max_brier", report.brier, limits.max_brier))
    return _RulesSpec(tuple(rules))
