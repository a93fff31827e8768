"""From a series store and forecasts to `BacktestReport`: what evaluation, tuning and compression share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.origins import BacktestSpec, backtest_origins, plan_backtest
from forecasting.backtest.score import ForecastRecord
from forecasting.backtest.slices import backtest_slices
from forecasting.backtest.summary import (
    NAIVE_PREFIX,
    BacktestReport,
    SeriesScoresReport,
    score_model,
    season_scales,
)
from forecasting.config.sections import BacktestConfig
from forecasting.durations import duration_steps
from forecasting.features.spec import FeatureSpec
from forecasting.schema import SeriesStore


def open_backtest(store: SeriesStore, spec: FeatureSpec, *, settings: BacktestConfig) -> BacktestSpec:
    """The backtest of a test period: the same for every model of the same horizon.

    Raises:
        DataError: The test period holds no horizon or no actual.
    """
    origins = backtest_origins(store.spec.split, spec.step_s, horizon=spec.horizon, stride=settings.stride)
    return plan_backtest(store, origins, horizon=spec.horizon)


def naive_predictors(seasons: Sequence[int], levels: tuple[float, ...]) -> dict[str, SeasonalNaivePredictor]:
    """A seasonal naive for every season, by its name in reports."""
    return {f"{NAIVE_PREFIX}{season}": SeasonalNaivePredictor(season, levels) for season in seasons}


@dataclass(frozen=True)
class BacktestScores:
    """Accuracy of every model of a backtest, and of each on every series."""

    report: BacktestReport
    series: Mapping[str, SeriesScoresReport]


def score_backtest(
    store: SeriesStore,
    spec: FeatureSpec,
    *,
    backtest: BacktestSpec,
    forecasts: Mapping[str, ForecastRecord],
    settings: BacktestConfig,
    fold_names: tuple[str, ...] = (),
) -> BacktestScores:
    """Accuracy of every model; the report has no `ratios` yet.

    Args:
        store: Its split gives the train cut for MASE, whose season is the spec's first.
        spec: Feature spec; its calendar gives local hours and weekdays.
        backtest: Windows asked for.
        forecasts: By role or name.
        settings: Length of history below which a window belongs to the slice cold_start, and horizon buckets.
        fold_names: Slices for the folds 1, 2 and so on; none: no such slices.

    Raises:
        ConfigError: `cold_start_below` is no whole number of steps.
    """
    below = settings.cold_start_below
    cold_start_steps = duration_steps(below, spec.step_s) if below else spec.context
    slices = backtest_slices(
        backtest, spec.calendar, cold_start_steps=cold_start_steps, n_buckets=settings.horizon_buckets,
        fold_names=fold_names,
    )  # fmt: skip
    scales = season_scales(backtest, store.spec.split, season=spec.seasons[0])
    found = {name: score_model(backtest, record, slices=slices, scales=scales) for name, record in forecasts.items()}
    report = BacktestReport(
        models={name: model for name, (model, _) in found.items()},
        n_origins=len(np.unique(backtest.origins)),
        n_series=len(set(backtest.rows.tolist())),
        n_points=backtest.n_points,
        unit=store.spec.target,
        interval=spec.quantiles[-1] - spec.quantiles[0],
        ratios={},
    )
    return BacktestScores(report, {name: scores for name, (_, scores) in found.items()})
