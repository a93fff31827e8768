import numpy as np
import pytest
from scipy.stats import ks_2samp

from forecasting.monitoring.drift import DistributionSpec, measure_drift, psi
from forecasting.ranking import ValueSpool

RNG = np.random.default_rng(3)


def _values(numbers):
    found = ValueSpool()
    found.add(np.asarray(numbers, np.float64))
    return found


def test_the_summary_of_a_distribution_measures_drift_as_all_its_values_do():
    reference, current = RNG.normal(size=50_000), RNG.normal(0.4, 1.3, size=3_000)
    found = measure_drift(DistributionSpec.of(_values(reference)), _values(current))
    assert found.ks == pytest.approx(ks_2samp(reference, current).statistic, abs=0.002)
    assert found.psi == pytest.approx(psi(_values(reference), _values(current)), rel=0.02)


def test_few_values_stand_for_themselves():
    reference, current = RNG.normal(size=300), RNG.normal(1, 1, size=200)
    found = measure_drift(DistributionSpec.of(_values(reference)), _values(current))
    assert found.ks == pytest.approx(ks_2samp(reference, current).statistic)


def test_the_same_distribution_has_next_to_no_drift_and_another_one_much():
    reference = DistributionSpec.of(_values(RNG.normal(size=20_000)))
    assert measure_drift(reference, _values(RNG.normal(size=20_000))).psi < 0.01
    assert measure_drift(reference, _values(RNG.normal(3, 1, size=20_000))).psi > 1


def _index(*shares):
    """PSI of pairs of shares, of the reference and now; an empty bin has 0.0001."""
    return sum((now - before) * np.log(now / before) for before, now in shares)


def _between(reference, current):
    return measure_drift(DistributionSpec.of(_values(reference)), _values(current)).psi


ZEROS = np.r_[np.zeros(920), np.arange(1, 81)]
"""Sales of which 92 % are zero; the largest is 80."""


def test_the_zeros_of_a_sparse_column_that_go_are_drift():
    # Below zero there is nothing; zeros; above zero.
    assert _between(ZEROS, np.arange(1, 501)) == pytest.approx(_index((0.92, 1e-4), (0.08, 1)))
    assert _between(ZEROS, ZEROS) == 0


def test_zeros_that_come_into_a_dense_column_are_drift():
    dense = np.arange(1, 1_001)
    # The lowest of ten bins has all zeros, the eight per cent that stay lie in it as well; nine are empty.
    assert _between(dense, ZEROS) == pytest.approx(_index((0.1, 1), *[(0.1, 1e-4)] * 9))


def test_zeros_of_fewer_than_two_deciles_have_a_bin_of_their_own():
    reference = np.r_[np.zeros(150), np.arange(1, 851)]
    current = np.r_[np.full(150, 20.0), np.arange(1, 851)]
    # Up to the second decile, at the rank 199.8, lie 150 zeros and 1 to 49.
    assert _between(reference, current) == pytest.approx(_index((0.15, 1e-4), (0.05, 0.2)), rel=0.02)


def test_a_flag_that_is_always_set_is_drift_and_one_that_is_as_often_set_is_none():
    flag = np.r_[np.zeros(920), np.ones(80)]
    assert _between(flag, np.ones(300)) == pytest.approx(_index((0.92, 1e-4), (0.08, 1)))
    assert _between(flag, np.r_[np.zeros(230), np.ones(20)]) == pytest.approx(0)
    assert _between(1 - flag, np.zeros(300)) == pytest.approx(_index((0.92, 1e-4), (0.08, 1)))


@pytest.mark.parametrize("now", [5.0, -5.0])
@pytest.mark.parametrize("n", [30, 300, 5_000])
def test_a_constant_that_is_another_one_is_drift(now, n):
    assert _between(np.zeros(n), np.full(n, now)) == pytest.approx(_index((1, 1e-4), (1e-4, 1)))
    assert _between(np.zeros(n), np.zeros(n)) == 0


def test_without_values_nothing_is_measured():
    assert DistributionSpec.of(_values([])) is None
    assert measure_drift(None, _values([1.0])) is None
    assert measure_drift(DistributionSpec.of(_values([1.0, 2.0])), _values([])) is None
