"""The leak tests of features: nothing of a window may change when the future becomes unknown."""

import numpy as np
import pytest

from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.transform import bounded, feature_blocks, past_columns, window_features
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import feature_planes


def test_window_features_equal_those_computed_over_the_whole_series():
    spec, series = melbourne_spec(), gappy_series()
    origin = 200
    inputs = window_inputs(series, spec, np.asarray([START + origin * HOUR_S]))
    recent, ahead = window_features(inputs.history, inputs.future, inputs.static, spec, NUMPY)
    # Planes begin with a context of missing steps, so that row `origin` of them is a context before it.
    planes = feature_planes(series, spec)
    n_past = len(feature_blocks(spec).past)
    np.testing.assert_allclose(recent[0], planes[origin : origin + spec.context], atol=2e-6)
    np.testing.assert_allclose(ahead[0], planes[origin + spec.context :][: spec.horizon, n_past:], atol=2e-6)


def test_no_feature_changes_when_everything_after_the_origin_becomes_nan():
    spec, series = melbourne_spec(), gappy_series()
    origin = np.asarray([START + 200 * HOUR_S])
    blinded = series.values.copy()
    blinded[200:, :2] = np.nan
    hidden = type(series)(series.id, series.start, blinded)
    before, after = window_inputs(series, spec, origin), window_inputs(hidden, spec, origin)
    np.testing.assert_array_equal(before.history, after.history)
    np.testing.assert_array_equal(before.future, after.future)


def test_known_covariates_of_the_horizon_are_seen():
    spec, series = melbourne_spec(), gappy_series()
    warmer = series.values.copy()
    warmer[210, 2] += 10.0
    origin = np.asarray([START + 200 * HOUR_S])
    changed = window_inputs(type(series)(series.id, series.start, warmer), spec, origin)
    assert np.any(changed.future != window_inputs(series, spec, origin).future)


def test_missing_values_become_zero_with_a_flag():
    spec = melbourne_spec()
    values = np.full((1, 3, 2), np.nan, dtype=np.float32)
    values[0, 1, 0] = 120.0
    target, present, *_ = past_columns(values, {}, spec, NUMPY)
    assert target[0].tolist() == [0.0, 1.0, 0.0]
    assert present[0].tolist() == [0.0, 1.0, 0.0]


def test_blocks_name_every_column():
    spec, series = melbourne_spec(), gappy_series(60)
    blocks = feature_blocks(spec)
    assert feature_planes(series, spec).shape == (48 + 60, len(blocks.past) + len(blocks.known))
    assert blocks.past[:3] == ("load", "load_present", "wind")
    assert blocks.known[:2] == ("temperature", "temperature_mean_24")


def test_origin_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="whole number"):
        window_inputs(gappy_series(), melbourne_spec(), np.asarray([START + 200 * HOUR_S + 60]))


def test_forecasts_are_rounded_then_held_within_the_bounds():
    spec = melbourne_spec(400, lower_bound=0.0, upper_bound=2.5, whole_numbers=True)
    values = np.asarray([-0.6, 0.5, 1.5, 2.2, 9.0], dtype=np.float32)
    np.testing.assert_array_equal(bounded(values, spec, NUMPY), np.asarray([0.0, 0.0, 2.0, 2.0, 2.5], dtype=np.float32))


def test_forecasts_without_bounds_stay_as_they_are():
    values = np.asarray([-0.6, 9.0], dtype=np.float32)
    np.testing.assert_array_equal(bounded(values, melbourne_spec(400), NUMPY), values)
