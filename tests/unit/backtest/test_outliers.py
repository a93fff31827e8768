"""Outliers in the history: where they lie, how large they are, and what they do to an error."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.outliers import disturb_windows, disturbed_series, outlier_ratio, robust_deviation
from forecasting.backtest.report import open_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors
from forecasting.config.sections import BacktestConfig, OutliersConfig
from forecasting.schema import Series, SeriesSpec
from tests.unit.backtest.tables import HOUR_S, LastValuePredictor, daily_wave, hourly_spec, hourly_store

STORE = hourly_store({"Demand": [daily_wave(10, level=-5.0), daily_wave(10, level=300.0)]})
TABLE = STORE.spec
SPEC = hourly_spec()
BACKTEST = open_backtest(STORE, SPEC, settings=BacktestConfig(stride=6))
MANY = OutliersConfig(share=0.2, deviations=6.0)


def target(series: Series) -> np.ndarray:
    return series.values[:, 0]


def one_series(values: np.ndarray, **changes: object) -> tuple[Series, SeriesSpec]:
    store = hourly_store({"Demand": [values]})
    return store.series[0], replace(store.spec, **changes)


def test_an_outlier_lies_the_declared_number_of_robust_deviations_away_on_either_side() -> None:
    series = STORE.series[0]
    moved = target(disturbed_series(series, TABLE, settings=MANY)) - target(series)
    train = target(series)[: (TABLE.split.train_end - series.start) // HOUR_S]
    distance = 6.0 * median_abs_deviation(train, scale="normal")
    assert np.abs(moved[moved != 0]) == pytest.approx(distance, rel=1e-4)
    assert 0.3 < (moved[moved != 0] > 0).mean() < 0.7


def test_the_declared_share_of_values_becomes_outliers() -> None:
    series, table = one_series(daily_wave(100, level=1e6))
    moved = target(disturbed_series(series, table, settings=OutliersConfig(share=0.05))) != target(series)
    assert moved.mean() == pytest.approx(0.05, abs=0.015)


def test_the_same_seed_disturbs_a_series_in_the_same_way_and_another_seed_in_another() -> None:
    first, again, other = (
        target(disturbed_series(STORE.series[1], TABLE, settings=OutliersConfig(share=0.2, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    alone = replace(BACKTEST, series=(STORE.series[1],), rows=np.zeros_like(BACKTEST.rows))
    one_draw = OutliersConfig(share=0.2, n_windows=BACKTEST.n_windows)
    assert np.array_equal(target(disturb_windows(alone, TABLE, settings=one_draw).backtest.series[0]), first)


def test_few_windows_are_disturbed_again_and_again_each_time_elsewhere() -> None:
    settings = OutliersConfig(share=0.2, n_windows=3 * BACKTEST.n_windows + 1)
    outliers = disturb_windows(BACKTEST, TABLE, settings=settings)
    assert outliers.backtest.n_windows == 3 * BACKTEST.n_windows
    assert outliers.places.tolist() == 3 * list(range(BACKTEST.n_windows))
    found = {target(series).tobytes() for series in outliers.backtest.series}
    assert len(found) == 6
    names = [outliers.backtest.series[row].id for row in outliers.backtest.rows]
    assert names == 3 * [BACKTEST.series[row].id for row in BACKTEST.rows]


def test_a_column_that_was_never_negative_does_not_become_so() -> None:
    series, table = one_series(np.abs(np.sin(np.arange(240.0))))
    found = target(disturbed_series(series, table, settings=OutliersConfig(share=0.5, deviations=50)))
    assert found.min() == 0.0
    assert found.max() > 5.0


def test_observed_columns_are_disturbed_and_known_ones_are_not() -> None:
    store = hourly_store({"Demand": [daily_wave(10)], "Wind": [daily_wave(10)], "Holiday": [daily_wave(10)]})
    table = replace(store.spec, observed=("Wind",), known=("Holiday",))
    moved = disturbed_series(store.series[0], table, settings=MANY).values != store.series[0].values
    assert moved.any(axis=0).tolist() == [True, True, False]


def test_missing_values_stay_missing() -> None:
    values = daily_wave(10)
    values[50:90] = np.nan
    series, table = one_series(values)
    found = target(disturbed_series(series, table, settings=OutliersConfig(share=1.0)))
    assert np.array_equal(np.isnan(found), np.isnan(values))


def test_the_series_itself_is_left_as_it_was() -> None:
    before = target(STORE.series[0]).copy()
    disturb_windows(BACKTEST, TABLE, settings=MANY)
    assert np.array_equal(target(STORE.series[0]), before)


def test_actuals_are_not_disturbed_and_windows_are_taken_at_equal_distances() -> None:
    outliers = disturb_windows(BACKTEST, TABLE, settings=OutliersConfig(n_windows=3))
    assert outliers.places.tolist() == [0, 8, BACKTEST.n_windows - 1]
    assert np.array_equal(outliers.backtest.actual, BACKTEST.actual[outliers.places])


def test_values_of_which_more_than_half_are_equal_deviate_by_their_standard_deviation() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 10.0])
    assert robust_deviation(values) == pytest.approx(4.0)


def test_ratio_is_that_of_errors_computed_one_by_one() -> None:
    outliers = disturb_windows(BACKTEST, TABLE, settings=OutliersConfig(share=0.2, n_windows=7))
    predictors = {"last": LastValuePredictor(), "naive": SeasonalNaivePredictor(24, (0.1, 0.5, 0.9))}
    before = score_predictors(predictors, SPEC, backtest=BACKTEST, batch_size=4)
    after = score_predictors(predictors, SPEC, backtest=outliers.backtest, batch_size=4)
    found = outlier_ratio(outliers, before=before["last"], after=after["last"])
    errors, disturbed_errors = [], []
    for row, origin in zip(BACKTEST.rows[outliers.places], BACKTEST.origins[outliers.places], strict=True):
        first = (origin - STORE.series[row].start) // HOUR_S
        disturbed = target(disturbed_series(STORE.series[row], TABLE, settings=OutliersConfig(share=0.2)))
        for step in range(24):
            errors.append(abs(target(STORE.series[row])[first + step] - target(STORE.series[row])[first - 1]))
            disturbed_errors.append(abs(target(STORE.series[row])[first + step] - disturbed[first - 1]))
    assert found == pytest.approx(sum(disturbed_errors) / sum(errors), rel=1e-5)
    assert outlier_ratio(outliers, before=before["naive"], after=after["naive"]) > 1.5


def record_of(values: np.ndarray) -> ForecastRecord:
    return ForecastRecord((0.5,), values[:, :, None].astype(np.float32), np.ones(values.shape, dtype=np.bool_))


def test_a_disturbed_forecast_that_is_not_finite_has_no_ratio() -> None:
    outliers = disturb_windows(BACKTEST, TABLE, settings=OutliersConfig(n_windows=2))
    broken = np.full(outliers.backtest.actual.shape, np.nan)
    assert np.isnan(outlier_ratio(outliers, before=record_of(BACKTEST.actual + 1), after=record_of(broken)))


def test_a_model_without_an_error_has_no_ratio() -> None:
    outliers = disturb_windows(BACKTEST, TABLE, settings=OutliersConfig(n_windows=2))
    exact, again = record_of(np.rint(BACKTEST.actual)), record_of(np.rint(outliers.backtest.actual))
    whole = replace(outliers, backtest=replace(outliers.backtest, actual=np.rint(outliers.backtest.actual)))
    assert np.isnan(outlier_ratio(whole, before=exact, after=again))
