"""Parts of the checks that are easier to see alone; the step's tests show them at work."""

import numpy as np
import pytest

from components.validation.leaks import absolute_correlation, most_alike_shift
from components.validation.profile import describe


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


@pytest.mark.parametrize("shift", [-24, -1, 0, 1, 23])
def test_a_shifted_copy_is_found_at_its_shift(shift: int):
    target = np.random.default_rng(7).normal(size=400)
    assert most_alike_shift(target, np.roll(target, shift), range(-24, 24)) == (shift, pytest.approx(1.0, abs=1e-12))


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
