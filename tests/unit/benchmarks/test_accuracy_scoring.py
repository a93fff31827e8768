import numpy as np
import pytest

from forecasting.backtest.origins import plan_backtest
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from tests.benchmarks.accuracy_tasks.scoring import Forecasts, ScoringSpec, figures, scoring_spec

HOUR_S = 3_600
START = 1_577_836_800


def scoring(actual: list[list[float]], unit: float = 1.0, scale: float = 1.0) -> ScoringSpec:
    values = np.asarray(actual)
    return ScoringSpec(values, np.full((len(values), 1), unit), np.full((len(values), 1), scale))


def test_squares_are_of_the_mean_and_the_rest_of_the_median():
    found = Forecasts(point=np.asarray([[1.0, 1.0]]), mean=np.asarray([[3.0, 3.0]]))
    measured = figures(found, scoring([[0.0, 2.0]]), ("mae", "mse", "rmse"))
    assert measured == {"mae": 1.0, "mse": 5.0, "rmse": pytest.approx(5**0.5, rel=1e-4)}


def test_errors_count_in_the_unit_of_their_series():
    found = Forecasts(point=np.asarray([[4.0], [10.0]]))
    spec = ScoringSpec(np.asarray([[2.0], [20.0]]), np.asarray([[1.0], [10.0]]), np.ones((2, 1)))
    assert figures(found, spec, ("mae", "mse")) == {"mae": 1.5, "mse": 2.5}


def test_smape_is_in_percent_and_mase_in_daily_changes():
    found = Forecasts(point=np.asarray([[3.0]]))
    assert figures(found, scoring([[1.0]], scale=4.0), ("smape", "mase")) == {"smape": 100.0, "mase": 0.5}


def test_forecasts_without_quantiles_have_no_figures_of_them():
    assert figures(Forecasts(point=np.zeros((1, 1))), scoring([[1.0]]), ("mae", "wql", "coverage_80")) == {"mae": 1.0}


def test_coverage_is_that_of_the_band_from_a_tenth_to_nine_tenths():
    quantiles = np.asarray([[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]])
    found = Forecasts(quantiles[:, :, 1], None, quantiles, (0.1, 0.5, 0.9))
    assert figures(found, scoring([[1.5, 3.0]]), ("coverage_80",)) == {"coverage_80": 0.5}


def test_units_come_from_the_train_cut_and_scales_from_all_before_the_first_origin():
    split = SplitSpec(START + 30 * HOUR_S, START + 48 * HOUR_S, START + 50 * HOUR_S)
    values = np.zeros((50, 1))
    values[:30:2] = 4.0
    values[30:48] = 7.0
    store = SeriesStore(SeriesSpec("y", (), (), (), {}, HOUR_S, split), (Series("s", START, values),))
    backtest = plan_backtest(store, np.asarray([split.validation_end]), horizon=2)
    found = scoring_spec(store, backtest, standardised=True)
    # Half of 30 hours are 4 and half 0; from hour 24 on, 6 changes of 0 over a day, then 18 of 3 and 7 in turns.
    assert found.unit.tolist() == [[2.0]]
    assert found.mase_scale.tolist() == [[(9 * 3.0 + 9 * 7.0) / 24]]
    assert scoring_spec(store, backtest, standardised=False).unit.tolist() == [[1.0]]
