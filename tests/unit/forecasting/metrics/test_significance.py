"""Tests of equal accuracy: by hand, and on simulated pairs whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from forecasting.metrics.significance import MIN_ORIGINS, better_than
from forecasting.metrics.student import student_t_cdf
from tests.benchmarks.significance import simulate_hourly_pairs, simulate_pairs

STANDARD_ERROR = math.sqrt(0.05 * 0.95 / 1_000)


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 7, 30, 179])
def test_students_t_equals_that_of_scipy(dof: int) -> None:
    for value in (-40.0, -2.1, -0.3, 0.0, 0.7, 1.96, 12.0, math.inf):
        assert student_t_cdf(value, dof) == pytest.approx(stats.t.cdf(value, dof), abs=1e-12)


def test_t_distribution_has_a_degree_of_freedom() -> None:
    with pytest.raises(ValueError, match="at least 1 degree of freedom, found 0"):
        student_t_cdf(1.0, 0)


def test_diebold_mariano_equals_the_formula_with_the_correction_of_harvey_leybourne_and_newbold() -> None:
    rng = np.random.default_rng(4)
    losses, other = rng.gamma(3, size=60), rng.gamma(3, size=60) + 0.3
    d = losses - other
    n, n_lags = 60, 4  # the cube root of 60, rounded up
    gammas = [sum((d[t] - d.mean()) * (d[t - k] - d.mean()) for t in range(k, n)) / n for k in range(n_lags + 1)]
    variance = (gammas[0] + 2 * sum((1 - k / (n_lags + 1)) * gammas[k] for k in range(1, n_lags + 1))) / n
    h = n_lags + 1
    statistic = math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n) * d.mean() / math.sqrt(variance)
    assert better_than(losses, other).diebold_mariano == pytest.approx(stats.t.cdf(statistic, n - 1))


def test_origins_whose_horizons_overlap_are_averaged_and_the_oldest_that_fill_no_run_are_left_out() -> None:
    rng = np.random.default_rng(4)
    losses, other = rng.gamma(3, size=62), rng.gamma(3, size=62) + 0.3
    runs = [values[2:].reshape(15, 4).mean(axis=1) for values in (losses, other)]
    found, expected = better_than(losses, other, overlap=4), better_than(runs[0], runs[1])
    assert found.diebold_mariano == pytest.approx(expected.diebold_mariano)
    assert found.fixed_smoothing == pytest.approx(expected.fixed_smoothing)
    assert found.n_origins == 62


def test_an_origin_that_is_missing_moves_no_other_into_another_run() -> None:
    rng = np.random.default_rng(4)
    losses, other = rng.gamma(3, size=60), rng.gamma(3, size=60) + 0.3
    other[5] = np.nan
    runs = [values.reshape(15, 4).copy() for values in (losses, other)]
    runs = [
        np.concatenate([rows[:1].mean(axis=1), [rows[1, [0, 2, 3]].mean()], rows[2:].mean(axis=1)]) for rows in runs
    ]
    assert better_than(losses, other, overlap=4).p_value == pytest.approx(better_than(runs[0], runs[1]).p_value)


def test_few_runs_of_origins_give_no_p_value() -> None:
    losses = np.arange(4.0 * MIN_ORIGINS - 1)
    assert math.isnan(better_than(losses, losses % 3, overlap=4).p_value)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7])
def test_equal_pairs_at_hourly_origins_are_promoted_five_times_in_a_hundred_at_most(correlation: float) -> None:
    pairs = simulate_hourly_pairs(1_000, n_days=55, correlation=correlation, gain=0.0, seed=20_261_121)
    promoted = sum(better_than(losses, other, overlap=24).p_value <= 0.05 for losses, other in pairs)
    assert promoted / 1_000 <= 0.05 + 2 * STANDARD_ERROR


def test_the_larger_of_both_p_values_counts() -> None:
    rng = np.random.default_rng(9)
    found = better_than(rng.gamma(3, size=40), rng.gamma(3, size=40))
    assert found.p_value == max(found.diebold_mariano, found.fixed_smoothing)


def test_better_and_worse_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    losses = rng.gamma(3, size=50)
    better = better_than(losses, losses + 1.0 + 0.1 * rng.normal(size=50))
    worse = better_than(losses + 1.0 + 0.1 * rng.normal(size=50), losses)
    assert better.p_value < 1e-6
    assert better.improvement == pytest.approx(1.0, abs=0.05)
    assert worse.p_value > 1 - 1e-6


def test_origins_that_one_of_both_lacks_are_left_out() -> None:
    losses = np.arange(12.0) % 5
    other = losses + 1.0 + 0.1 * np.arange(12)
    other[3] = np.nan
    kept = np.delete(np.arange(12), 3)
    assert better_than(losses, other) == better_than(losses[kept], other[kept])


def test_few_origins_give_no_p_value() -> None:
    assert math.isnan(better_than(np.zeros(MIN_ORIGINS - 1), np.arange(MIN_ORIGINS - 1.0)).p_value)


@pytest.mark.parametrize(("difference", "p_value"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0)])
def test_difference_that_is_always_the_same_is_certain(difference: float, p_value: float) -> None:
    losses = np.arange(20.0)
    assert better_than(losses, losses + difference).p_value == p_value


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7])
def test_equal_pairs_with_autocorrelated_errors_are_promoted_five_times_in_a_hundred_at_most(
    correlation: float,
) -> None:
    pairs = simulate_pairs(1_000, n_origins=55, correlation=correlation, gain=0.0, seed=20_261_121)
    promoted = sum(better_than(losses, other).p_value <= 0.05 for losses, other in pairs)
    assert promoted / 1_000 <= 0.05 + 2 * STANDARD_ERROR


def test_a_plain_t_test_promotes_far_more_equal_pairs() -> None:
    pairs = simulate_pairs(1_000, n_origins=55, correlation=0.7, gain=0.0, seed=20_261_121)
    found = [stats.ttest_1samp(losses - other, 0.0, alternative="less").pvalue <= 0.05 for losses, other in pairs]
    assert np.mean(found) > 0.1


def test_a_fifth_less_error_is_found_nine_times_in_ten_over_half_a_year_of_days() -> None:
    pairs = simulate_pairs(200, n_origins=180, correlation=0.5, gain=0.2, seed=20_261_121)
    assert np.mean([better_than(losses, other).p_value <= 0.05 for losses, other in pairs]) >= 0.9
