"""Exact statistics of values that are gone over in parts, against NumPy and SciPy."""

import numpy as np
import pytest

from forecasting import ranking
from forecasting.ranking import ValueSpool, distance, histogram, quantiles

LEVELS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
RNG = np.random.default_rng(8)
SAMPLES = {
    "normal": RNG.normal(size=3_000),
    "ties": RNG.normal(size=2_001).round(1),
    "constant": np.full(50, 7.0),
    "counts": RNG.poisson(0.3, size=1_500).astype(np.float64),
    "one far away": np.r_[RNG.normal(size=900) * 1e-6, 1e12],
    "heavy tails": RNG.lognormal(0, 8, size=1_200),
    "one": np.array([3.5]),
    "the largest numbers": np.array([-1.7e308, 0.0, 1.7e308, 1.0]),
}


def spool(values, path=None, n_in_memory: int = 400) -> ValueSpool:
    found = ValueSpool(path, n_in_memory=n_in_memory)
    for part in np.array_split(values, 7):
        found.add(part)
    return found


@pytest.fixture(params=[(1 << 16, 1 << 21), (8, 50), (64, 500)])
def division(request, monkeypatch):
    """Few bins and few values at once, so that bins are divided again and again."""
    n_bins, n_gathered = request.param
    monkeypatch.setattr(ranking, "_N_BINS", n_bins)
    monkeypatch.setattr(ranking, "_MAX_GATHERED", n_gathered)


@pytest.mark.usefixtures("division")
@pytest.mark.parametrize("kind", SAMPLES)
def test_quantiles_are_those_of_numpy(kind, tmp_path):
    expected = np.quantile(SAMPLES[kind], LEVELS)
    np.testing.assert_array_equal(quantiles(spool(SAMPLES[kind], tmp_path / "values"), LEVELS), expected)


@pytest.mark.usefixtures("division")
@pytest.mark.parametrize("kind", sorted(set(SAMPLES) - {"the largest numbers"}))
def test_the_distance_of_two_distributions_is_that_of_scipy(kind):
    from scipy.stats import ks_2samp

    first, second = SAMPLES[kind], SAMPLES[kind][::3] * 1.03
    assert distance(spool(first), spool(second)) == pytest.approx(ks_2samp(first, second).statistic, abs=1e-15)


def test_a_histogram_is_that_of_numpy(tmp_path):
    counts, edges = histogram(spool(SAMPLES["normal"], tmp_path / "values"), 20)
    expected = np.histogram(SAMPLES["normal"], bins=20)
    np.testing.assert_array_equal(counts, expected[0])
    np.testing.assert_array_equal(edges, expected[1])


def test_many_values_wait_in_a_file_and_missing_ones_are_counted(tmp_path):
    values = np.where(np.arange(5_000) % 10 == 0, np.nan, np.arange(5_000.0))
    found = spool(values, tmp_path / "values")
    assert (tmp_path / "values").stat().st_size > 0
    assert (found.n, found.n_missing, found.low, found.high) == (4_500, 500, 1.0, 4_999.0)
    np.testing.assert_array_equal(np.concatenate(list(found.chunks())), values[~np.isnan(values)])
