"""The seasonal naive forecast that stands in for the model, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.fallback import choose_season, fallback_answer
from forecasting.naive import naive_quantiles
from forecasting.schema import Series
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400
HOUR = 3600


def _series(targets):
    return Series("a", START, np.column_stack([np.asarray(targets, float), np.full(len(targets), np.nan)]))


def _ahead(past, seasons, first=0, horizon=3):
    return choose_season(np.asarray(past, float), seasons, steps=np.arange(first, first + horizon), n_errors=3)


def test_the_last_season_is_repeated_and_the_band_is_that_of_its_errors():
    # Differences over the season of 3: 3, 3, 3, 9, 9, 9; centred on their median 6: -3 and +3 at the ends.
    quantiles = fallback_answer(_series([1, 2, 3, 4, 5, 6, 13, 14, 15]), SPEC, START + 9 * HOUR)
    np.testing.assert_allclose(quantiles[:, 1], [13, 14, 15])
    np.testing.assert_allclose(quantiles[:, 0], [10, 11, 12])
    np.testing.assert_allclose(quantiles[:, 2], [16, 17, 18])


def test_values_at_and_after_the_origin_are_not_read():
    seen, other = [1.0, 2, 3, 4, 5, 7, 8, 8, 8], [1.0, 2, 3, 4, 5, 7, np.nan, 1e9, -1e9]
    origin = START + 6 * HOUR
    np.testing.assert_array_equal(
        fallback_answer(_series(seen), SPEC, origin), fallback_answer(_series(other), SPEC, origin)
    )


def test_a_gap_before_the_origin_keeps_the_phase_and_widens_the_band():
    targets = [1.0, 2, 3, 5, 5, 9, 6, 12, 8]
    near = fallback_answer(_series(targets), SPEC, START + 9 * HOUR)
    far = fallback_answer(_series([*targets, np.nan]), SPEC, START + 10 * HOUR)
    np.testing.assert_allclose(far[:, 1], [12, 8, 6])
    # The third step lies two seasons ahead: differences over 6 steps are 5, 10 and 5, over 3 steps 4, 3, 6, 1, 7, -1.
    np.testing.assert_allclose(far[2], [6, 6, 10], atol=1.01)
    assert not np.allclose(far[2] - far[2, 1], near[0] - near[0, 1])


def test_the_lower_bound_of_the_model_holds_for_the_fallback():
    quantiles = fallback_answer(_series([9, 9, 9, 0, 1, 0, 8, 7, 9, 0, 0, 0]), replace(SPEC, lower_bound=0.0), START + 12 * HOUR)  # fmt: skip
    assert quantiles.min() == 0.0
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_the_point_stands_in_for_the_mean_of_a_model_that_has_one_and_is_not_rounded():
    spec = replace(SPEC, mean=True, whole_numbers=True, lower_bound=0.0)
    answer = fallback_answer(_series([1, 2, 3, 4, 5, 6, -1, 14.4, 15]), spec, START + 9 * HOUR)
    np.testing.assert_allclose(answer[:, 1], [0, 14, 15])
    np.testing.assert_allclose(answer[:, 3], [0, 14.4, 15])


def test_a_series_without_a_target_before_the_origin_has_no_fallback():
    assert fallback_answer(_series([np.nan, np.nan, 3]), SPEC, START + 2 * HOUR) is None


def test_the_longest_season_with_values_and_errors_is_taken():
    assert _ahead(range(12), (2, 6)) == 6


def test_a_season_without_a_value_for_each_step_gives_way_to_a_shorter_one():
    assert _ahead([1, 2, 3, 4, 5], (2, 6)) == 2
    assert _ahead([np.nan, np.nan, 3, 4, 5, 6, *[np.nan] * 2, 3, 4, 5, 6], (2, 6)) == 2


def test_a_season_with_too_few_errors_gives_way_to_one_that_was_measured():
    assert _ahead([1, 2, 3, 4, 5, 6, 7, 8], (2, 6)) == 2


def test_with_too_few_errors_everywhere_the_longest_season_with_values_is_taken():
    assert _ahead([1, 2, 3, 4], (2, 4)) == 4


def test_the_shortest_season_is_left_where_none_has_a_value_for_each_step():
    assert _ahead([7], (4, 2)) == 2


@pytest.mark.parametrize("n_past", [1, 2, 4, 7, 200, 5000])
def test_every_length_of_past_gives_finite_ascending_quantiles(n_past):
    clock = np.arange(n_past)
    quantiles = fallback_answer(_series(np.sin(clock) * clock), SPEC, START + n_past * HOUR)
    assert quantiles.shape == (3, 3)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_a_gap_of_decades_gives_the_phase_and_the_widest_band_at_once():
    targets = [1.0, 2, 3, 5, 5, 9, 6, 12, 8]
    # Ten seasons of 3 are beyond the nine targets already; 10,000,002 is as many steps after a whole number of them.
    near = fallback_answer(_series(targets), SPEC, START + (9 + 30) * HOUR)
    far = fallback_answer(_series(targets), SPEC, START + (9 + 300_000_000) * HOUR)
    np.testing.assert_array_equal(near, far)
    np.testing.assert_allclose(far[:, 1], [6, 12, 8])
    moved = fallback_answer(_series(targets), SPEC, START + (9 + 300_000_002) * HOUR)
    np.testing.assert_allclose(moved[:, 1], [8, 6, 12])


def test_every_gap_gives_what_the_whole_way_there_gives():
    targets = np.random.default_rng(3).normal(size=14)
    whole = naive_quantiles(targets[None], SPEC.quantiles, season=3, horizon=63)[0]
    for gap in range(60):
        found = fallback_answer(_series(targets), SPEC, START + (14 + gap) * HOUR)
        np.testing.assert_allclose(found, np.sort(whole[gap : gap + 3]), rtol=1e-6)


def test_values_near_the_largest_of_float32_give_finite_quantiles():
    quantiles = fallback_answer(_series([3e38, -3e38, 1, -3e38, 3e38, 1, 3e38, -3e38, 1]), SPEC, START + 9 * HOUR)
    assert np.isfinite(quantiles).all()
    assert (quantiles[:, 1:] >= quantiles[:, :-1]).all()
