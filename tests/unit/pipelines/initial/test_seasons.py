"""Seasons by the calendar, confirmed by autocorrelation."""

import numpy as np
import pytest

from pipelines.initial.seasons import autocorrelation, calendar_seasons, guess_seasons

HOUR, DAY, WEEK = 3_600, 86_400, 604_800


def noise(n: int, scale: float, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, n)


@pytest.mark.parametrize(
    ("step_s", "steps"),
    [
        (900, [96, 672]),
        (HOUR, [24, 168]),
        (DAY, [7]),
        (WEEK, [52]),
        (60, [1440]),
        (7 * 60, [1440]),
        (2 * WEEK, []),
        (5 * 3600, []),
    ],
)
def test_a_step_suggests_day_week_or_year(step_s, steps):
    assert [n for n, _ in calendar_seasons(step_s)] == steps


def test_a_daily_wave_has_a_day_and_no_week():
    hours = np.arange(24 * 60)
    guess = guess_seasons([np.sin(2 * np.pi * hours / 24) + noise(len(hours), 0.05)], HOUR)
    assert [season.steps for season in guess.confirmed] == [24]
    assert [season.name for season in guess.rejected] == ["week"]


def test_weekends_confirm_the_week():
    hours = np.arange(24 * 70)
    wave = np.sin(2 * np.pi * hours / 24) * np.where(hours // 24 % 7 >= 5, 0.3, 1.0)
    assert [season.steps for season in guess_seasons([wave + noise(len(hours), 0.02)], HOUR).confirmed] == [24, 168]


def test_noise_has_no_season():
    guess = guess_seasons([noise(500, 1.0)], DAY)
    assert guess.confirmed == ()
    assert abs(guess.rejected[0].correlation) < 0.1


def test_a_slow_level_alone_is_no_season():
    assert guess_seasons([np.cumsum(noise(3_000, 1.0))], HOUR).confirmed == ()


def test_a_season_that_no_calendar_suggests_is_found():
    steps = np.arange(1_000)
    (season,) = guess_seasons([np.sin(2 * np.pi * steps / 50) ** 3 + noise(1_000, 0.02)], 2 * WEEK).confirmed
    assert season.steps == 50


def test_gaps_are_left_out_of_the_correlation():
    values = np.tile([1.0, -1.0], 20)
    values[5] = np.nan
    assert autocorrelation([values], 2) == pytest.approx(1.0)
    assert autocorrelation([values], 1) == pytest.approx(-1.0)
    assert autocorrelation([values], 50) == 0.0


def test_a_long_smooth_wave_is_confirmed_by_values():
    weeks = np.arange(260)
    (season,) = guess_seasons([np.sin(2 * np.pi * weeks / 52) + noise(260, 0.2)], WEEK).confirmed
    assert (season.steps, season.compared) == (52, "values")
    assert season.correlation > 0.8


def test_single_faults_of_a_sensor_hide_no_season():
    hours = np.arange(60 * 24)
    values = 100 + 20 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(2).normal(0, 2, len(hours))
    values[[100, 731, 1_205]] = 8_191.0
    assert 24 in [season.steps for season in guess_seasons([values], 3_600).confirmed]
