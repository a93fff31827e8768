"""The seasonal naive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.naive import naive_point, quantiles_of_known
from forecasting.windows import ModelInputs

NAN = np.nan


def inputs_of(history: list[list[float]], horizon: int) -> ModelInputs:
    target = np.array(history, dtype=np.float32)
    return ModelInputs(target[:, :, None], np.zeros((len(target), horizon, 0), dtype=np.float32))


def test_last_season_is_repeated_over_a_horizon_longer_than_it() -> None:
    history = np.array([[9.0, 9.0, 9.0, 1.0, 2.0, 3.0]])
    assert naive_point(history, season=3, horizon=7).tolist() == [[1, 2, 3, 1, 2, 3, 1]]


def test_first_step_repeats_the_value_one_season_before_it_when_the_window_is_no_whole_number_of_seasons() -> None:
    history = np.array([[7.0, 1.0, 2.0, 3.0, 4.0]])
    assert naive_point(history, season=3, horizon=3).tolist() == [[2, 3, 4]]


def test_missing_value_is_replaced_by_the_latest_earlier_one_of_its_phase() -> None:
    history = np.array([[1.0, 2.0, 3.0, 10.0, NAN, 30.0, 100.0, NAN, NAN]])
    assert naive_point(history, season=3, horizon=3).tolist() == [[100.0, 2.0, 30.0]]


def test_phase_never_seen_takes_the_mean_of_what_is_known() -> None:
    history = np.array([[NAN, NAN, NAN, 10.0, NAN, 30.0]])
    assert naive_point(history, season=3, horizon=3).tolist() == [[10.0, 20.0, 30.0]]


def test_window_without_any_value_is_answered_with_zero() -> None:
    assert naive_point(np.full((1, 4), NAN), season=2, horizon=3).tolist() == [[0.0, 0.0, 0.0]]


def test_band_is_made_of_the_seasonal_differences_of_the_window() -> None:
    # Differences at lag 1: 1, -1, 2, -2, 0, centred on their median 0; their 10 % and 90 % quantiles are ±1.6.
    predictor = SeasonalNaivePredictor(1, (0.1, 0.5, 0.9))
    found = predictor.predict(inputs_of([[0.0, 1.0, 0.0, 2.0, 0.0, 0.0]], horizon=1))
    assert found[0, 0] == pytest.approx([-1.6, 0.0, 1.6])


def test_second_season_ahead_has_the_band_of_differences_over_two_seasons() -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(size=400))
    found = SeasonalNaivePredictor(4, (0.1, 0.5, 0.9)).predict(inputs_of([walk.tolist()], horizon=8))
    difference = walk[8:] - walk[:-8]
    low, middle, high = np.quantile(difference, (0.1, 0.5, 0.9))
    assert found[0, 4] - found[0, 4, 1] == pytest.approx([low - middle, 0.0, high - middle], abs=1e-4)


def test_window_too_short_for_the_lag_takes_the_longest_lag_it_has() -> None:
    predictor = SeasonalNaivePredictor(2, (0.1, 0.5, 0.9))
    found = predictor.predict(inputs_of([[0.0, 1.0, 3.0, 5.0]], horizon=6))
    assert found[0, 4, 2] - found[0, 4, 1] == pytest.approx(found[0, 0, 2] - found[0, 0, 1])
    assert found[0, 0, 2] > found[0, 0, 1]


def test_window_without_differences_has_no_band() -> None:
    found = SeasonalNaivePredictor(2, (0.1, 0.5, 0.9)).predict(inputs_of([[NAN, NAN, NAN, 5.0]], horizon=2))
    assert found[0].tolist() == [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]]


def test_quantiles_of_known_equal_numpy_nanquantile() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(30, 17))
    values[rng.random((30, 17)) < 0.4] = NAN
    found = quantiles_of_known(values, (0.05, 0.5, 0.9))
    assert found == pytest.approx(np.nanquantile(values, (0.05, 0.5, 0.9), axis=1).T)


@given(
    history=arrays(np.float32, (3, 11), elements=st.one_of(st.just(np.float32(NAN)), st.floats(-100, 100, width=32))),
    season=st.integers(1, 11),
    horizon=st.integers(1, 13),
)
def test_answer_is_finite_and_ascending_whatever_is_missing(history: np.ndarray, season: int, horizon: int) -> None:
    inputs = ModelInputs(history[:, :, None], np.zeros((3, horizon, 0), dtype=np.float32))
    found = SeasonalNaivePredictor(season, (0.1, 0.5, 0.9)).predict(inputs)
    assert found.shape == (3, horizon, 3)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()


def test_season_shorter_than_a_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1 step"):
        SeasonalNaivePredictor(0, (0.5,))
