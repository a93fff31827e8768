"""Why a candidate errs as it does, beside how much: residuals, importance of columns, the champion, examples.

`diagnostics.json` is `DiagnosticsReport` as JSON; a value that is not finite is null there.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from forecasting.backtest.examples import ExampleReport, pick_examples
from forecasting.backtest.grouped import window_ranges
from forecasting.backtest.importance import ImportanceReport, permutation_importance
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.paired import compare_pair
from forecasting.backtest.residuals import ResidualsReport, examine_residuals
from forecasting.backtest.score import ForecastRecord
from forecasting.backtest.summary import finite_document
from forecasting.config.sections import BacktestConfig
from forecasting.features.spec import FeatureSpec
from forecasting.predictors import Predictor

DIAGNOSTICS_FILE = "diagnostics.json"
_N_SEASONS = 2
"""Seasons over which errors are correlated."""
_MAX_LAGS = 336
"""Steps apart, at most: what it costs grows with them, and nobody reads more bars."""


@dataclass(frozen=True)
class ComparisonReport:
    """Candidate and champion on the steps that both forecast and whose actual is known.

    candidate, champion: MAE in the target's unit; candidate_by_step, champion_by_step: of each step of the horizon.
    better_share, worse_share: shares of the n_series series on which the candidate has the lower, the higher MAE.
    """

    n_points: int
    n_origins: int
    n_series: int
    candidate: float
    champion: float
    candidate_by_step: tuple[float, ...]
    champion_by_step: tuple[float, ...]
    better_share: float
    worse_share: float


@dataclass(frozen=True)
class DiagnosticsReport:
    """What diagnostics.json holds; none where it could not be measured, was switched off, or there is no champion.

    examples: a usual forecast and the worst one.
    """

    residuals: ResidualsReport | None
    importance: ImportanceReport | None
    comparison: ComparisonReport | None
    examples: tuple[ExampleReport, ...] = ()


def diagnose_candidate(
    backtest: BacktestSpec,
    spec: FeatureSpec,
    *,
    candidate: Predictor,
    record: ForecastRecord,
    champion: ForecastRecord | None,
    settings: BacktestConfig,
) -> DiagnosticsReport:
    """Everything in diagnostics.json.

    Args:
        backtest: Windows and actuals.
        spec: Feature spec of the candidate.
        candidate: The model, asked again for the importance of its columns.
        record: What it forecast.
        champion: What the champion forecasts or once forecast; none where there is nothing of it.
        settings: What the importance may cost.
    """
    return DiagnosticsReport(
        residuals=examine_residuals(backtest, record, n_lags=min(_MAX_LAGS, _N_SEASONS * spec.seasons[0])),
        importance=permutation_importance(
            candidate,
            spec,
            backtest=backtest,
            n_forecasts=settings.importance_forecasts,
            n_repeats=settings.importance_repeats,
            batch_size=settings.batch_size,
        ),
        comparison=None if champion is None else compare_with_champion(backtest, record, champion),
        examples=pick_examples(backtest, record),
    )


def compare_with_champion(
    backtest: BacktestSpec, candidate: ForecastRecord, champion: ForecastRecord
) -> ComparisonReport | None:
    """Both models on common steps; none where there are no such steps."""
    counts, own, other = (np.zeros(backtest.horizon) for _ in range(3))
    for first, end in window_ranges(backtest):
        actual = backtest.actual[first:end]
        common = np.isfinite(actual) & candidate.available[first:end] & champion.available[first:end]
        counts += common.sum(axis=0)
        own += np.where(common, np.abs(actual - candidate.point[first:end]), 0.0).sum(axis=0)
        other += np.where(common, np.abs(actual - champion.point[first:end]), 0.0).sum(axis=0)
    if not counts.any():
        return None
    pair = compare_pair(backtest, candidate, champion)
    judged = pair.by_series.n_points > 0
    model, previous = pair.by_series.model[judged], pair.by_series.other[judged]
    steps = np.where(counts > 0, counts, np.nan)
    return ComparisonReport(
        n_points=int(counts.sum()),
        n_origins=pair.n_common_origins,
        n_series=int(judged.sum()),
        candidate=float(own.sum() / counts.sum()),
        champion=float(other.sum() / counts.sum()),
        candidate_by_step=tuple((own / steps).tolist()),
        champion_by_step=tuple((other / steps).tolist()),
        better_share=float((model < previous).mean()),
        worse_share=float((model > previous).mean()),
    )


def write_diagnostics(report: DiagnosticsReport, path: Path) -> None:
    """Write `diagnostics.json`."""
    path.write_text(json.dumps(finite_document(asdict(report)), indent=1, allow_nan=False), encoding="utf-8")
