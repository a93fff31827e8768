from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.models import AdditiveConfig
from forecasting.errors import ConfigError
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks
from forecasting.neural.models import NetworkSpec
from forecasting.neural.models.additive import AddedTerm, AdditiveModel, changepoints
from forecasting.neural.models.window import Window
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn, drawn_window

YEAR_S = 31_557_600


def trend_spec() -> FeatureSpec:
    spec = melbourne_spec()
    calendar = replace(spec.calendar, columns=(*spec.calendar.columns, "trend"), trend_start=0, learnt_until=2 * YEAR_S)
    return replace(spec, calendar=calendar)


def drawn_model(spec: FeatureSpec, *, anchored: bool) -> tuple[AdditiveModel, Window]:
    """A model with coefficients at random, and a window whose target is its own regression plus 7."""
    model = AdditiveModel(
        NetworkSpec(spec, AdditiveConfig(changepoints=2)), AdditiveConfig(changepoints=2, anchored=anchored)
    )
    window = drawn_window(spec)
    model.messages(window, training=False)
    for i, weight in enumerate(model.trainable_variables):
        weight.assign(drawn(*weight.shape, seed=20 + i))
    return model, window


def by_hand(model: AdditiveModel, spec: FeatureSpec, known: np.ndarray) -> np.ndarray:
    """Trend of two hinges at 0.4 and 0.8 of two years, and every other column by its coefficient."""
    at = feature_blocks(spec).known.index("trend")
    time = known[:, :, at] / 2.0
    k, (first, second) = model.growth.shared.numpy()[0, 0], model.changes.shared.numpy()[:, 0]
    trend = k * time + first * np.maximum(time - 0.4, 0) + second * np.maximum(time - 0.8, 0)
    return trend + np.delete(known, at, axis=2) @ model.seasons.shared.numpy()[:, 0]


def test_the_forecast_is_trend_with_changes_of_slope_plus_seasons_and_covariates():
    spec = trend_spec()
    model, window = drawn_model(spec, anchored=False)
    expected = by_hand(model, spec, window.future.numpy()) + model.offset.shared.numpy()[0, 0] - window.group[:, :1]
    np.testing.assert_allclose(model.messages(window, training=False).median, expected, atol=1e-4)


def test_an_anchored_forecast_begins_at_the_level_of_the_present_steps_of_the_last_segment():
    spec = trend_spec()
    model, window = drawn_model(spec, anchored=True)
    past = window.past.numpy()
    past[:, -10:, 1] = 0.0
    window = replace(window, past=tf.constant(past))
    seen = by_hand(model, spec, window.known.numpy())[:, -24:-10]
    expected = by_hand(model, spec, window.future.numpy()) - seen.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(model.messages(window, training=False).median, expected, atol=1e-4)


def test_changepoints_lie_evenly_over_the_first_80_percent_of_what_is_learnt():
    points, length = changepoints(trend_spec(), 4)
    np.testing.assert_allclose(points, [0.2, 0.4, 0.6, 0.8], rtol=1e-6)
    assert length == 2.0


def test_a_series_has_coefficients_of_its_own_beside_those_of_all():
    term, columns, series = AddedTerm(0.5, True, "term"), drawn(2, 3, 4), drawn(2, 5)
    term(columns, series)
    term.shared.assign(drawn(4, 1))
    term.own.assign(drawn(5, 4))
    coefficients = term.shared.numpy()[:, 0] + series.numpy() @ term.own.numpy()
    np.testing.assert_allclose(term(columns, series), np.einsum("btc,bc->bt", columns, coefficients), atol=1e-5)


def test_the_penalty_is_the_sum_of_squared_coefficients():
    model, _ = drawn_model(trend_spec(), anchored=True)
    strengths = {"changes": 1e-4, "seasons": 1e-6}
    expected = sum(strength * np.sum(getattr(model, name).shared.numpy() ** 2) for name, strength in strengths.items())
    np.testing.assert_allclose(tf.add_n(model.losses), expected, rtol=1e-5)


def test_features_without_the_time_are_refused():
    with pytest.raises(ConfigError, match=r"add 'trend' to features.calendar"):
        AdditiveModel(NetworkSpec(melbourne_spec(), AdditiveConfig()), AdditiveConfig())
