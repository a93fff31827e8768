"""From a scored backtest to what the gate of the float model judges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.backtest.grouped import window_ranges
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.paired import PairReport, compare_pair
from forecasting.backtest.report import BacktestScores
from forecasting.backtest.sanity import check_sanity
from forecasting.backtest.score import ForecastRecord
from forecasting.backtest.slices import COLD_START, HOLIDAY, bucket_names
from forecasting.backtest.summary import NAIVE_PREFIX, BacktestReport, better_naive, naive_ratio
from forecasting.config.gates import ExceedanceGateConfig, SliceGateConfig
from forecasting.config.root import EvaluateModelSettings
from forecasting.contracts.vocabulary import ModelRole
from forecasting.gates import NAN, ChampionGateReport, ModelGateReport, PartReport, SliceGateReport
from forecasting.metrics import ExceedanceReport, ExceedanceSums

CANDIDATE = ModelRole.CANDIDATE.value
CHAMPION = ModelRole.CHAMPION.value


@dataclass(frozen=True)
class ChampionState:
    """The champion of a backtest beside its forecasts.

    problem: why it could not be asked, empty where it could. cutoff_lag_days: days by which the run's cutoff lies before
    the champion's; none: not known. stored: where it could not be asked, what its own run kept of its forecasts, as far
    as they fall on this backtest; they are compared with the candidate and are in no table of metrics.
    """

    problem: str = ""
    cutoff_lag_days: float | None = None
    stored: ForecastRecord | None = None


def measure_gate(
    settings: EvaluateModelSettings,
    backtest: BacktestSpec,
    *,
    forecasts: Mapping[str, ForecastRecord],
    scores: BacktestScores,
    champion: ChampionState | None,
    test_start: int,
) -> ModelGateReport:
    """Everything that the gate judges.

    Args:
        settings: Limits and horizon buckets.
        backtest: Windows and actuals.
        forecasts: Of the candidate, the naive baselines and, where it could be asked, the champion.
        scores: Their metrics.
        champion: None where there is none.
        test_start: Start of the test period, UTC epoch seconds.
    """
    report, candidate = scores.report, forecasts[CANDIDATE]
    overall = report.models[CANDIDATE].overall
    naive = better_naive(report.models)
    limits = settings.gates
    return ModelGateReport(
        mae=overall["mae"],
        rmse=overall["rmse"],
        naive_ratio=naive_ratio(report.models, CANDIDATE),
        coverage=overall["coverage"],
        sanity=check_sanity(backtest, candidate, test_start=test_start),
        n_origins=report.n_origins,
        mase=overall["mase"],
        wape=overall["wape"],
        bias=overall["bias"],
        outlier_ratio=report.models[CANDIDATE].outlier_ratio,
        naive_p_value=compare_pair(backtest, candidate, forecasts[naive]).significance().p_value,
        cold_start_naive_ratio=naive_ratio(report.models, CANDIDATE, part=COLD_START),
        coverages={float(share): found["coverage"] for share, found in report.models[CANDIDATE].intervals.items()},
        champion=_champion_report(settings, backtest, forecasts, champion),
        slices=_slice_report(limits.slices, backtest, scores=scores, n_buckets=settings.backtest.horizon_buckets),
        exceedance=_exceedance(limits.exceedance, backtest, candidate),
    )


def _exceedance(
    limits: ExceedanceGateConfig | None, backtest: BacktestSpec, record: ForecastRecord
) -> ExceedanceReport | None:
    """Scores of exceeding the threshold, window by window, so that no second copy of the forecasts is made."""
    if limits is None:
        return None
    sums = ExceedanceSums(limits.threshold)
    for first, end in window_ranges(backtest):
        actual = np.where(record.available[first:end], backtest.actual[first:end], np.nan)
        sums.add(actual, record.quantiles[first:end], record.levels)
    return sums.report()


def gate_ratios(report: ModelGateReport) -> dict[str, float]:
    """Comparisons on identical steps, for metrics.json."""
    ratios = {
        "naive_ratio": report.naive_ratio,
        "naive_p_value": report.naive_p_value,
        "cold_start_naive_ratio": report.cold_start_naive_ratio,
    }
    if report.champion is not None and report.champion.n_common_origins:
        ratios |= {"champion_ratio": report.champion.ratio, "champion_p_value": report.champion.p_value}
    return ratios


def _champion_report(
    settings: EvaluateModelSettings,
    backtest: BacktestSpec,
    forecasts: Mapping[str, ForecastRecord],
    champion: ChampionState | None,
) -> ChampionGateReport | None:
    if champion is None:
        return None
    record = forecasts.get(CHAMPION, champion.stored)
    if record is None:
        return ChampionGateReport(NAN, NAN, 0, champion.problem, cutoff_lag_days=champion.cutoff_lag_days)
    pair = compare_pair(backtest, forecasts[CANDIDATE], record)
    gates = settings.gates
    least = gates.slices.min_points if gates.slices else 1
    return ChampionGateReport(
        ratio=pair.ratio,
        p_value=pair.significance().p_value,
        n_common_origins=pair.n_common_origins,
        problem=champion.problem,
        worse_series_share=_worse_share(pair, min_points=least, limit=gates.model.max_champion_ratio),
        cutoff_lag_days=champion.cutoff_lag_days,
    )


def _worse_share(pair: PairReport, *, min_points: int, limit: float) -> float:
    """Share of series that got worse than the limit allows, among those with enough steps."""
    sums = pair.by_series
    judged = sums.n_points >= min_points
    if not judged.any():
        return NAN
    return float((sums.model[judged] > limit * sums.other[judged]).mean())


def _slice_report(
    limits: SliceGateConfig | None, backtest: BacktestSpec, *, scores: BacktestScores, n_buckets: int
) -> SliceGateReport:
    if limits is None:
        return SliceGateReport()
    buckets = bucket_names(backtest.horizon, n_buckets)
    return SliceGateReport(
        worst_series=_worst_series(backtest, scores, min_points=limits.min_points),
        worst_bucket=_worst_part(scores.report, buckets, min_points=limits.min_points),
        holiday=_worst_part(scores.report, (HOLIDAY,), min_points=limits.min_points),
    )


def _worst_part(report: BacktestReport, names: Sequence[str], *, min_points: int) -> PartReport | None:
    slices = report.models[CANDIDATE].slices
    parts = [
        PartReport(name, naive_ratio(report.models, CANDIDATE, part=name), int(slices[name]["n_points"]))
        for name in names
        if name in slices and slices[name]["n_points"] >= min_points
    ]
    # A ratio that could not be measured is the worst one, so that it is not hidden by another.
    return max(parts, key=lambda part: math.inf if math.isnan(part.ratio) else part.ratio, default=None)


def _worst_series(backtest: BacktestSpec, scores: BacktestScores, *, min_points: int) -> PartReport | None:
    """The series with the largest MAE over that of the naive that is better for it; without an error of that it is left out."""
    candidate = scores.series[CANDIDATE]
    errors = candidate.scores["mae"]
    naives = [found.scores["mae"] for model, found in scores.series.items() if model.startswith(NAIVE_PREFIX)]
    # fmin passes over a naive that has no error to show for a series.
    others = np.fmin.reduce(naives)
    judged = np.flatnonzero((candidate.n_points >= min_points) & (others > 0))
    if not len(judged):
        return None
    ratios = errors[judged] / others[judged]
    worst = int(np.argmax(ratios))
    series = int(judged[worst])
    return PartReport(backtest.series[series].id, float(ratios[worst]), int(candidate.n_points[series]))
