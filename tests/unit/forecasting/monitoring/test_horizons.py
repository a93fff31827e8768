import numpy as np

from forecasting.monitoring.horizons import horizon_buckets, naive_lags


def test_a_horizon_is_cut_behind_the_steps_that_are_named():
    found = horizon_buckets(24, (1, 6, 24, 168))
    assert found.names == ("h1", "h2_6", "h7_24")
    assert found.of_step.tolist() == [0] + [1] * 5 + [2] * 18


def test_what_is_behind_the_last_is_a_bucket_of_its_own():
    assert horizon_buckets(30, (1, 6, 24)).names == ("h1", "h2_6", "h7_24", "h25_30")
    assert horizon_buckets(2, ()).names == ("h1_2",)
    assert horizon_buckets(1, (1, 6)).names == ("h1",)


def test_the_naive_repeats_the_last_season_before_the_origin():
    assert naive_lags(5, 2).tolist() == [2, 2, 4, 4, 6]
    steps = np.arange(50)
    assert (steps - naive_lags(50, 7) < 0).all()
    assert (steps - naive_lags(50, 7) >= -7).all()
