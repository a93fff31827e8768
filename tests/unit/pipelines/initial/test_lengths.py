"""Lengths that fit the history."""

import pytest

from forecasting.errors import DataError
from pipelines.initial.lengths import LengthsGuess, fit_lengths, segment_length

HOUR, DAY, WEEK = 3_600, 86_400, 604_800


def test_a_year_of_hours():
    lengths = fit_lengths(8_760, HOUR, (24, 168))
    assert (lengths.horizon, lengths.segment, lengths.context, lengths.seasons) == (24, 24, 336, (24, 168))
    assert (lengths.validation, lengths.test) == (5 * 168, 8 * 168)


def test_three_years_of_days():
    lengths = fit_lengths(1_096, DAY, (7,))
    assert (lengths.horizon, lengths.segment, lengths.context) == (28, 7, 84)
    assert (lengths.validation, lengths.test) == (16 * 7, 23 * 7)


def test_a_short_history_shortens_the_context_and_then_the_horizon():
    assert fit_lengths(260, DAY, (7,)).context == 84
    shorter = fit_lengths(150, DAY, (7,))
    assert (shorter.horizon, shorter.context) == (14, 56)


def test_a_season_that_does_not_fit_is_left_out():
    assert fit_lengths(24 * 16, HOUR, (24, 168)).seasons == (24,)


@pytest.mark.parametrize("n_steps", [100, 400, 3_000, 20_000])
def test_whatever_is_found_fits_and_leaves_training_windows(n_steps):
    lengths = fit_lengths(n_steps, DAY, (7,))
    assert lengths.needed < n_steps
    assert lengths.context % lengths.segment == 0
    assert lengths.validation >= lengths.horizon
    assert lengths.test >= 2 * lengths.horizon


def test_periods_of_less_than_two_and_three_horizons_have_no_embargo():
    assert fit_lengths(1_096, DAY, (7,)).embargo
    assert not fit_lengths(300, DAY, (7,)).embargo


def test_a_few_days_of_minutes_look_an_hour_ahead():
    lengths = fit_lengths(5_000, 60, (1_440,))
    assert (lengths.horizon, lengths.seasons) == (60, (1,))


def test_a_named_horizon_is_kept():
    assert fit_lengths(8_760, HOUR, (24, 168), horizon=72).horizon == 72


def test_too_few_steps_are_refused_with_what_is_needed():
    with pytest.raises(DataError, match=r"must have at least 4[0-9] steps .*, and the longest has 20"):
        fit_lengths(20, DAY, (7,))


@pytest.mark.parametrize(
    ("step_s", "seasons", "segment"),
    [(HOUR, (24, 168), 24), (DAY, (7,), 7), (WEEK, (52,), 13), (300, (288,), 144), (43_200, (2, 14), 4), (DAY, (1,), 7), (HOUR, (1,), 24), (420, (1,), 4), (60, (1,), 60)],
)  # fmt: skip
def test_a_segment_is_about_the_shortest_season(step_s, seasons, segment):
    assert segment_length(step_s, seasons) == segment


@pytest.mark.parametrize(("validation", "test", "embargo"), [(14, 21, True), (13, 21, False), (14, 20, False)])
def test_an_embargo_needs_two_horizons_of_validation_and_three_of_test(validation, test, embargo):
    assert LengthsGuess(7, 7, 14, (7,), (7,), validation, test).embargo is embargo
