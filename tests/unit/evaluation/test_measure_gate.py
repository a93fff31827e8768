"""What the gate of the float model is told of a backtest whose errors are known."""

import math

import numpy as np
import pytest

from components.evaluation.measure_gate import ChampionState, _worst_series, measure_gate
from forecasting.backtest.report import naive_predictors, open_backtest, score_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors
from forecasting.config.gates import (
    CompressedGateConfig,
    ExceedanceGateConfig,
    GatesConfig,
    ModelGateConfig,
    ServingGateConfig,
    SliceGateConfig,
)
from forecasting.config.root import EvaluateModelSettings
from forecasting.config.sections import BacktestConfig, ForecastConfig
from forecasting.features.spec import CalendarSpec
from forecasting.gates import ModelGateReport
from tests.unit.backtest.tables import DAY_S, MONDAY, daily_wave, hourly_spec, hourly_store

NORTH, SOUTH, NEW = daily_wave(10), daily_wave(10, level=300.0), daily_wave(2, level=50.0)
STORE = hourly_store({"Demand": [NORTH, SOUTH, NEW]}, starts=(MONDAY, MONDAY, MONDAY + 8 * DAY_S))
HOLIDAY = (MONDAY + 8 * DAY_S) // DAY_S
"""The second of three test days."""
SPEC = hourly_spec(calendar=CalendarSpec((), (), transitions=(), offsets_s=(0,), holidays=(HOLIDAY,)))


def measured(
    offsets: np.ndarray, *, champion: np.ndarray | None = None, min_points: int = 48, threshold: float | None = None
) -> ModelGateReport:
    """A candidate, and a champion, that are off by `[series, step]`; the naive is off by 1 everywhere it has a day before."""
    settings = EvaluateModelSettings(
        name="demand",
        forecast=ForecastConfig(horizon=24, context=48, segment=24, seasons=(24, 48)),
        backtest=BacktestConfig(stride=24),
        gates=GatesConfig(
            model=ModelGateConfig(max_mae=1, max_rmse=1, max_naive_ratio=1, max_champion_ratio=1.1),
            compressed=CompressedGateConfig(max_mae=1, max_rmse=1),
            serving=ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3),
            slices=SliceGateConfig(min_points=min_points, max_bucket_naive_ratio=1),
            exceedance=None
            if threshold is None
            else ExceedanceGateConfig(threshold=threshold, min_events=1, min_auc=0.5),
        ),
    )
    backtest = open_backtest(STORE, SPEC, settings=settings.backtest)
    forecasts = score_predictors(naive_predictors((24, 48), SPEC.quantiles), SPEC, backtest=backtest, batch_size=64)
    for name, off in (("candidate", offsets), ("champion", champion)):
        if off is not None:
            point = backtest.actual + off[backtest.rows]
            quantiles = (point[..., None] + np.array([-1.0, 0.0, 1.0])).astype(np.float32)
            forecasts[name] = ForecastRecord((0.1, 0.5, 0.9), quantiles, np.ones(point.shape, dtype=bool))
    scores = score_backtest(STORE, SPEC, backtest=backtest, forecasts=forecasts, settings=settings.backtest)
    state = None if champion is None else ChampionState()
    return measure_gate(
        settings, backtest, forecasts=forecasts, scores=scores, champion=state, test_start=STORE.spec.split.test_start
    )


def off_by(north: float, south: float, new: float = 0.5) -> np.ndarray:
    return np.array([[north], [south], [new]]) * np.ones((1, 24))


def test_worst_series_is_the_one_with_the_largest_error_over_the_naives() -> None:
    worst = measured(off_by(0.3, 0.8)).slices.worst_series
    assert worst is not None
    assert (worst.name, worst.n_points) == ("s1", 72)
    assert worst.ratio == pytest.approx(0.8, rel=1e-3)


def test_the_naive_of_a_series_is_the_one_that_is_better_for_it() -> None:
    backtest = open_backtest(STORE, SPEC, settings=BacktestConfig(stride=24))
    forecasts = {}
    # The first naive is better over all, the second for the series in the south.
    for name, errors in (
        ("candidate", (0.6, 0.6, 0.6)),
        ("seasonal_naive_24", (1.0, 1.0, 1.0)),
        ("seasonal_naive_48", (4.0, 0.5, 4.0)),
    ):
        point = backtest.actual + np.array(errors)[backtest.rows][:, None]
        quantiles = np.repeat(point[..., None], 3, axis=2).astype(np.float32)
        forecasts[name] = ForecastRecord((0.1, 0.5, 0.9), quantiles, np.ones(point.shape, dtype=bool))
    scores = score_backtest(STORE, SPEC, backtest=backtest, forecasts=forecasts, settings=BacktestConfig(stride=24))
    worst = _worst_series(backtest, scores, min_points=48)
    assert worst is not None
    assert worst.name == "s1"
    assert worst.ratio == pytest.approx(1.2, rel=1e-3)


def test_series_with_fewer_steps_than_asked_for_are_not_looked_at() -> None:
    worst = measured(off_by(0.3, 0.4, new=9.0)).slices.worst_series
    assert worst is not None
    assert worst.name == "s1"
    assert measured(off_by(0.3, 0.4), min_points=100).slices.worst_series is None


def test_worst_horizon_bucket_is_named_by_its_steps() -> None:
    offsets = off_by(0.3, 0.3)
    offsets[:, 12:18] = 0.6
    worst = measured(offsets, min_points=12).slices.worst_bucket
    assert worst is not None
    assert worst.name == "steps_13_18"


def test_holidays_are_measured_where_they_have_enough_steps() -> None:
    found = measured(off_by(0.5, 0.5), min_points=48).slices.holiday
    assert found is not None
    assert found.n_points == 48
    assert found.ratio == pytest.approx(0.5, rel=1e-3)
    assert measured(off_by(0.5, 0.5), min_points=49).slices.holiday is None


def test_share_of_series_that_got_worse_counts_those_beyond_what_the_champion_allows() -> None:
    # Within 1.1 times the champion's error is no worse.
    report = measured(off_by(0.54, 0.6), champion=off_by(0.5, 0.5))
    assert report.champion is not None
    assert report.champion.worse_series_share == 0.5
    assert report.champion.ratio == pytest.approx((0.54 + 0.6) / 2 / 0.5, rel=0.05)
    fewer = measured(off_by(0.54, 0.6), champion=off_by(0.5, 0.5), min_points=100)
    assert fewer.champion is not None
    assert math.isnan(fewer.champion.worse_series_share)


def test_absolute_measures_are_those_of_the_candidate() -> None:
    report = measured(off_by(0.5, 0.5))
    assert report.mae == pytest.approx(0.5, rel=1e-3)
    assert report.bias == pytest.approx(0.5, rel=1e-3)
    assert report.coverage == 1.0
    assert report.coverages == {0.8: 1.0}
    assert report.n_origins == 3
    assert report.champion is None


def test_exceedance_is_scored_where_a_threshold_is_given() -> None:
    assert measured(off_by(0.5, 0.5)).exceedance is None
    found = measured(off_by(0.0, 0.0, new=0.0), threshold=200.0).exceedance
    assert found is not None
    # All of the south, three days of it, and nothing else is above 200.
    assert (found.n_events, found.accuracy, found.auc) == (72, 1.0, 1.0)
