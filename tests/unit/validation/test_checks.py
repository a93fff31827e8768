"""Parts of the checks that are easier to see alone; the step's tests show them at work."""

import numpy as np
import pytest

from components.validation.leaks import absolute_correlation, correlations, most_alike_shift, pair_sums
from components.validation.profile import describe
from forecasting.ranking import ValueSpool


def spool(values: np.ndarray) -> ValueSpool:
    found = ValueSpool()
    found.add(values)
    return found


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


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_sums_over_series_correlate_at_every_shift_as_the_pairs_themselves_do(missing: float):
    rng = np.random.default_rng(11)
    shifts, series = np.arange(-30, 30), []
    for n_steps in (300, 20, 77):
        target = rng.normal(3, 5, size=n_steps)
        covariate = np.roll(target, 4) + rng.normal(size=n_steps)
        target[rng.random(n_steps) < missing], covariate[rng.random(n_steps) < missing] = np.nan, np.nan
        series.append((target, covariate))
    found = correlations(sum(pair_sums(target, covariate, shifts) for target, covariate in series))
    gap = np.full(30, np.nan)
    targets, covariates = (np.concatenate([part for one in column for part in (one, gap)]) for column in zip(*series, strict=True))  # fmt: skip
    expected = [
        absolute_correlation(
            targets[max(0, -shift) : len(targets) - max(0, shift)],
            covariates[max(0, shift) : len(targets) - max(0, -shift)],
        )
        for shift in shifts.tolist()
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert shifts[np.argmax(found)] == 4


def test_a_constant_correlates_with_nothing_at_any_shift():
    target = np.random.default_rng(1).normal(size=200)
    assert correlations(pair_sums(target, np.full(200, 0.1), np.arange(-5, 5))).tolist() == [0.0] * 10


def test_a_column_is_described_by_hand():
    found = describe(spool(np.array([0.0, 1.0, 2.0, 5.0, np.nan])))
    assert (found.n, found.n_missing, found.mean, found.min, found.max) == (5, 1, 2.0, 0.0, 5.0)
    assert found.std == pytest.approx(np.sqrt(14 / 4))
    assert found.zeros_ratio == 0.25
    assert found.quantiles["0.5"] == 1.5
    assert len(found.histogram_counts) == 20
    assert found.histogram_counts[0] == 1
    assert found.histogram_counts[-1] == 1


def test_a_column_without_values_is_described_without_numbers():
    found = describe(spool(np.full(3, np.nan)))
    assert (found.n, found.n_missing, found.mean, found.histogram_counts) == (3, 3, None, ())
