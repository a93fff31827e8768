import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.metrics import mae, rmse, wape
from forecasting.metrics.block import score_block
from forecasting.monitoring.live_sums import add_sums, live_sums

LEVELS = (0.1, 0.5, 0.9)


def _sums(actual, quantiles, naive, bucket, n_buckets=1, expected=None):
    quantiles = np.asarray(quantiles, np.float64)
    block = score_block(
        np.asarray(actual, np.float64), quantiles[:, 1], expected=expected, quantiles=quantiles, levels=LEVELS
    )
    return live_sums(block, np.asarray(naive, np.float64), np.asarray(bucket), n_buckets=n_buckets)


def test_every_sum_of_two_points_by_hand():
    found = _sums([10, 20], [[8, 12, 13], [21, 25, 30]], [11, np.nan], [0, 0])
    flat = {f"{name} {part}".strip(): float(values[0]) for (name, part), values in found.items()}
    assert flat == pytest.approx({
        "forecast_scored_points": 2, "forecast_absolute_error": 7, "forecast_squared_error": 29, "forecast_actual_absolute": 30,
        "forecast_over_error": 7, "forecast_under_error": 0, "forecast_naive_points": 1,
        "forecast_naive_absolute_error": 1, "forecast_compared_absolute_error": 2,
        "forecast_pinball_loss 0.1": 0.2 + 0.9, "forecast_pinball_loss 0.5": 3.5, "forecast_pinball_loss 0.9": 0.3 + 1.0,
        "forecast_interval_points 0.8": 2, "forecast_interval_covered 0.8": 1, "forecast_interval_width 0.8": 14,
    })  # fmt: skip


def test_the_squared_error_and_the_bias_are_of_the_mean_where_there_is_one():
    found = _sums([10], [[8, 12, 13]], [np.nan], [0], expected=np.array([7.0]))
    assert found["forecast_squared_error", ""][0] == 9
    assert found["forecast_under_error", ""][0] == 3
    assert found["forecast_absolute_error", ""][0] == 2


def test_points_are_summed_in_their_bucket():
    found = _sums([10, 20, 30], [[0, 10, 20], [0, 21, 30], [0, 28, 40]], [0, 0, 0], [0, 2, 2], n_buckets=3)
    assert found["forecast_scored_points", ""].tolist() == [1, 0, 2]
    assert found["forecast_absolute_error", ""].tolist() == [0, 0, 3]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_the_sums_give_the_metrics_of_the_backtest(points):
    actual, forecast = np.array(points).T
    found = _sums(
        actual, np.stack([forecast - 1, forecast, forecast + 1], axis=1), actual, np.zeros(len(actual), np.int64)
    )
    total = {name: float(values[0]) for (name, part), values in found.items() if not part}
    assert total["forecast_absolute_error"] / len(actual) == pytest.approx(mae(actual, forecast))
    assert np.sqrt(total["forecast_squared_error"] / len(actual)) == pytest.approx(rmse(actual, forecast))
    bias = (total["forecast_over_error"] - total["forecast_under_error"]) / len(actual)
    assert bias == pytest.approx(float(np.mean(forecast - actual)), abs=1e-6)
    if total["forecast_actual_absolute"] > 1e-3:
        assert total["forecast_absolute_error"] / total["forecast_actual_absolute"] == pytest.approx(
            wape(actual, forecast)
        )


def test_sums_can_be_taken_out_again():
    found, into = _sums([10], [[8, 12, 13]], [11], [0]), {}
    add_sums(into, found)
    add_sums(into, found, sign=-1.0)
    assert all(values[0] == 0 for values in into.values())
