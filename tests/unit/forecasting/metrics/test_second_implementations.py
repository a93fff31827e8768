"""Every metric against an implementation that is not ours: scikit-learn, SciPy, or plain loops over the formula."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn import metrics as reference

from forecasting import metrics
from forecasting.metrics.registry import documented_metrics, intervals, share_below

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def sample(seed: int = 11) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actuals `[40,12]` with a fifth missing, sorted quantiles, and which actuals are known."""
    rng = np.random.default_rng(seed)
    actual = rng.gamma(3.0, 20.0, size=(40, 12))
    actual[rng.random(actual.shape) < 0.2] = np.nan
    quantiles = np.sort(rng.gamma(3.0, 20.0, size=(40, 12, len(LEVELS))), axis=2)
    return actual, quantiles, np.isfinite(actual)


ACTUAL, QUANTILES, KNOWN = sample()
POINT = QUANTILES[..., 2]
Y, F = ACTUAL[KNOWN], POINT[KNOWN]


def test_mae_rmse_and_mape_equal_those_of_scikit_learn() -> None:
    assert metrics.mae(ACTUAL, POINT) == pytest.approx(reference.mean_absolute_error(Y, F))
    assert metrics.rmse(ACTUAL, POINT) == pytest.approx(reference.root_mean_squared_error(Y, F))
    assert metrics.mape(ACTUAL, POINT) == pytest.approx(reference.mean_absolute_percentage_error(Y, F))


def test_r2_equals_that_of_scikit_learn_also_far_from_zero() -> None:
    assert metrics.r2(ACTUAL, POINT) == pytest.approx(reference.r2_score(Y, F))
    assert metrics.r2(ACTUAL + 1e9, POINT + 1e9) == pytest.approx(reference.r2_score(Y, F), rel=1e-5)


def test_r2_of_the_mean_is_zero_and_of_constant_actuals_is_not_known() -> None:
    assert metrics.r2(Y, np.full_like(Y, Y.mean())) == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(metrics.r2(np.full(5, 3.0), np.arange(5.0)))


def test_mape_leaves_out_actuals_of_zero() -> None:
    assert metrics.mape(np.array([0.0, 10.0]), np.array([5.0, 9.0])) == pytest.approx(0.1)


def test_pinball_equals_that_of_scikit_learn_at_every_level() -> None:
    losses = [reference.mean_pinball_loss(Y, QUANTILES[KNOWN][:, i], alpha=level) for i, level in enumerate(LEVELS)]
    assert metrics.pinball(ACTUAL, QUANTILES, LEVELS) == pytest.approx(np.mean(losses))


def test_scaled_errors_equal_loops_over_series() -> None:
    rng = np.random.default_rng(5)
    history = [rng.normal(100, 10, size=60), rng.normal(5, 1, size=60)]
    scales = np.array([[metrics.mase_scale(h, 7)] for h in history])
    squares = np.array([[metrics.rmsse_scale(h, 7)] for h in history])
    actual, forecast = ACTUAL[:2], POINT[:2]
    absolute, squared = [], []
    for i, values in enumerate(history):
        naive = [abs(values[t] - values[t - 7]) for t in range(7, 60)]
        naive_squared = [(values[t] - values[t - 7]) ** 2 for t in range(7, 60)]
        for y, f in zip(actual[i], forecast[i], strict=True):
            if not math.isnan(y):
                absolute.append(abs(y - f) / (sum(naive) / 53))
                squared.append((y - f) ** 2 / (sum(naive_squared) / 53))
    assert metrics.mase(actual, forecast, scales) == pytest.approx(sum(absolute) / len(absolute))
    assert metrics.rmsse(actual, forecast, squares) == pytest.approx(math.sqrt(sum(squared) / len(squared)))


def test_winkler_score_equals_a_loop_over_its_three_cases() -> None:
    total = 0.0
    for y, row in zip(Y, QUANTILES[KNOWN], strict=True):
        low, high = row[1], row[3]
        total += high - low
        if y < low:
            total += 2 / 0.2 * (low - y)
        elif y > high:
            total += 2 / 0.2 * (y - high)
    found = metrics.winkler(ACTUAL, QUANTILES[..., 1], QUANTILES[..., 3], nominal=0.8)
    assert found == pytest.approx(total / len(Y))


def test_winkler_score_is_twice_the_pinball_losses_of_its_bounds_over_alpha() -> None:
    found = metrics.winkler(ACTUAL, QUANTILES[..., 1], QUANTILES[..., 3], nominal=0.8)
    losses = [reference.mean_pinball_loss(Y, QUANTILES[KNOWN][:, i], alpha=LEVELS[i]) for i in (1, 3)]
    assert found == pytest.approx(2 / 0.2 * sum(losses))


def test_crps_of_many_quantiles_tends_to_the_integral_of_the_squared_distance_of_distributions() -> None:
    levels = tuple((np.arange(2_000) + 0.5) / 2_000)
    quantiles = stats.norm.ppf(levels, 10.0, 3.0)

    def squared_distance(x: float, y: float) -> float:
        return (stats.norm.cdf(x, 10.0, 3.0) - float(x >= y)) ** 2

    for y in (4.0, 10.0, 15.5):
        exact = integrate.quad(squared_distance, -20, y, (y,))[0] + integrate.quad(squared_distance, y, 40, (y,))[0]
        assert metrics.crps(np.array([y]), quantiles[None], levels) == pytest.approx(exact, rel=1e-3)


def test_crps_of_the_median_alone_is_the_mae() -> None:
    assert metrics.crps(ACTUAL, POINT[..., None], (0.5,)) == pytest.approx(metrics.mae(ACTUAL, POINT))


def test_trend_agreement_equals_a_loop_that_skips_gaps_and_standstill() -> None:
    actual = ACTUAL.copy()
    actual[3, 4:6] = 7.0
    hits, asked = 0, 0
    for i in range(40):
        for h in range(1, 12):
            before, now = actual[i, h - 1], actual[i, h]
            if math.isnan(before) or math.isnan(now) or before == now:
                continue
            asked += 1
            hits += (now > before) == (POINT[i, h] > POINT[i, h - 1])
    assert metrics.trend_agreement(actual, POINT) == pytest.approx(hits / asked)


def test_trend_agreement_is_one_of_a_perfect_forecast_and_not_known_of_one_step() -> None:
    assert metrics.trend_agreement(ACTUAL, np.nan_to_num(ACTUAL, nan=1.0)) == 1.0
    assert math.isnan(metrics.trend_agreement(np.array([[1.0]]), np.array([[1.0]])))


def test_share_below_a_quantile_counts_actuals_that_equal_it() -> None:
    block = metrics.score_block(np.array([1.0, 2.0, 3.0]), np.zeros(3), quantiles=np.full((3, 1), 2.0), levels=(0.5,))
    assert share_below(0.5).of(block) == pytest.approx(2 / 3)


def test_intervals_are_pairs_of_levels_around_the_median_the_widest_first() -> None:
    assert intervals((0.05, 0.1, 0.5, 0.9, 0.95)) == ((0.05, 0.95), (0.1, 0.9))
    assert intervals((0.1, 0.5, 0.95)) == ()


@pytest.mark.parametrize("metric", documented_metrics(), ids=lambda metric: metric.name)
def test_every_metric_of_a_forecast_with_a_hole_is_not_finite(metric) -> None:  # type: ignore[no-untyped-def]
    actual = np.array([[1.0, 2.0, 4.0, 3.0]])
    quantiles = np.array([[[0.5, 1.0, 2.0]] * 4])
    quantiles[0, 2] = np.nan
    block = metrics.score_block(
        actual, quantiles[..., 1], quantiles=quantiles, levels=(0.1, 0.5, 0.9), scale=2.0, squared_scale=4.0
    )
    assert not math.isfinite(metric.of(block))


@pytest.mark.parametrize("metric", documented_metrics(), ids=lambda metric: metric.name)
def test_every_metric_says_formula_unit_direction_and_source(metric) -> None:  # type: ignore[no-untyped-def]
    assert all((metric.title, metric.formula, metric.unit, metric.direction, metric.source))
