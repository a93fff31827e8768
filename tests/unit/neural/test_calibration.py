"""Factors that make quantiles hold on the validation period."""

import numpy as np
import pytest

from forecasting.neural.calibration import recency_weights, stretch_factors

LEVELS = (0.1, 0.5, 0.9)
HOUR_S = 3600


def quantiles(n_windows):
    return np.tile(np.asarray([-0.3, 0.0, 0.4], dtype=np.float32), (n_windows, 4, 1))


def test_stretch_factors_make_levels_hold():
    target = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    low, middle, high = stretch_factors(target, quantiles(500), np.ones_like(target), LEVELS, weights=np.ones(500))
    assert middle == 1.0
    assert np.mean(target < -0.3 * low) == pytest.approx(0.1, abs=0.005)
    assert np.mean(target < 0.4 * high) == pytest.approx(0.9, abs=0.005)


def test_missing_steps_and_windows_without_weight_change_no_factor():
    target = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    present, weights = np.ones_like(target), np.ones(500)
    expected = stretch_factors(target[100:], quantiles(400), present[100:], LEVELS, weights=weights[100:])
    target[:50], present[:50], target[50:100], weights[50:100] = 9.0, 0.0, 9.0, 0.0
    assert stretch_factors(target, quantiles(500), present, LEVELS, weights=weights) == expected


def test_a_window_as_old_as_the_period_counts_half():
    weights = recency_weights(np.asarray([0, 10, 20, 10]) * HOUR_S)
    np.testing.assert_allclose(weights, [0.5, 2**-0.5, 1.0, 2**-0.5])


def test_a_single_origin_counts_whole():
    assert recency_weights(np.asarray([5, 5])).tolist() == [1.0, 1.0]


def test_factors_follow_the_end_of_the_period():
    rng = np.random.default_rng(0)
    calm, wild = 0.2 * rng.normal(size=(500, 4)), 0.6 * rng.normal(size=(500, 4))
    origins = np.arange(1000) * HOUR_S

    def outer(target):
        target = target.astype(np.float32)
        present = np.ones_like(target)
        return stretch_factors(target, quantiles(1000), present, LEVELS, weights=recency_weights(origins))[2]

    assert outer(np.concatenate([wild, calm])) < 0.95 * outer(np.concatenate([calm, wild]))
