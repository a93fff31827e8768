"""The leak tests of features: nothing of a window may change when the future becomes unknown."""

import numpy as np
import pytest

from forecasting.features.calendar import calendar_columns
from forecasting.features.namespace import NUMPY
from forecasting.features.transform import feature_blocks, known_block, past_block, window_features
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec


def test_window_features_equal_those_computed_over_the_whole_series():
    spec, series = melbourne_spec(), gappy_series()
    origin = 200
    inputs = window_inputs(series, spec, np.asarray([START + origin * HOUR_S]))
    recent, ahead = window_features(inputs.history, inputs.future, spec, NUMPY)
    values = series.values.astype(np.float32)[None]
    past = past_block(values[:, :, :2], spec, NUMPY)
    known = known_block(values[:, :, 2:], calendar_columns(series.timestamps(HOUR_S), spec.calendar)[None], spec, NUMPY)
    expected = np.concatenate([past, known], axis=2)[0, origin - spec.context : origin]
    np.testing.assert_allclose(recent[0], expected, atol=2e-5)
    np.testing.assert_allclose(ahead[0], known[0, origin : origin + spec.horizon], atol=2e-5)


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
    block = past_block(values, spec, NUMPY)
    assert block[0, :, 0].tolist() == [0.0, 1.0, 0.0]
    assert block[0, :, 1].tolist() == [0.0, 1.0, 0.0]


def test_blocks_name_every_column():
    spec, series = melbourne_spec(), gappy_series(60)
    blocks = feature_blocks(spec)
    assert past_block(series.values[None, :, :2].astype(np.float32), spec, NUMPY).shape[2] == len(blocks.past)
    assert blocks.past[:3] == ("load", "load_present", "wind")
    assert blocks.known[-1] == "temperature_mean_24"


def test_origin_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="whole number"):
        window_inputs(gappy_series(), melbourne_spec(), np.asarray([START + 200 * HOUR_S + 60]))
