"""Parts of the checks that are easier to see alone; the step's tests show them at work."""

import numpy as np
import pytest

from components.validation.checks import absolute_correlation, history_length
from components.validation.profile import describe
from forecasting.config.sections import FeaturesConfig, RollingConfig


def test_the_correlation_equals_that_of_numpy_on_the_pairs_without_gaps():
    rng = np.random.default_rng(5)
    a = rng.normal(size=500)
    b = -0.6 * a + rng.normal(size=500)
    a[::7], b[::11] = np.nan, np.nan
    both = ~(np.isnan(a) | np.isnan(b))
    assert absolute_correlation(a, b) == pytest.approx(abs(np.corrcoef(a[both], b[both])[0, 1]), rel=1e-12)


def test_a_constant_or_nearly_empty_column_correlates_with_nothing():
    a = np.arange(100.0)
    assert absolute_correlation(a, np.ones(100)) == 0.0
    assert absolute_correlation(a[:29], a[:29]) == 0.0
    assert absolute_correlation(a[:30], a[:30]) == pytest.approx(1.0)


def test_the_history_is_the_context_and_what_the_longest_rolling_window_needs_before_it():
    rolling = (RollingConfig(windows=(24, 168)), RollingConfig(windows=(72,)))
    assert history_length(336, FeaturesConfig(derived=rolling)) == 336 + 167
    assert history_length(336, FeaturesConfig(derived=())) == 336


def test_a_column_is_described_by_hand():
    found = describe(np.array([0.0, 1.0, 2.0, 5.0, np.nan]))
    assert (found.n, found.n_missing, found.mean, found.min, found.max) == (5, 1, 2.0, 0.0, 5.0)
    assert found.std == pytest.approx(np.sqrt(14 / 4))
    assert found.zeros_ratio == 0.25
    assert found.quantiles["0.5"] == 1.5
    assert len(found.histogram_counts) == 20
    assert found.histogram_counts[0] == 1
    assert found.histogram_counts[-1] == 1


def test_a_column_without_values_is_described_without_numbers():
    found = describe(np.full(3, np.nan))
    assert (found.n, found.n_missing, found.mean, found.histogram_counts) == (3, 3, None, ())
