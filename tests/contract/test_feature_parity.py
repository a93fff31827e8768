"""One feature definition: NumPy (Beam, gateway, client) and TensorFlow (exported graph) agree."""

import numpy as np
import pytest

from forecasting.features.calendar import calendar_columns
from forecasting.features.namespace import NUMPY
from forecasting.features.transform import window_features
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec

tf = pytest.importorskip("tensorflow")

from forecasting.neural.namespace import TENSORFLOW  # noqa: E402


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_window_features_agree_across_gaps_and_daylight_saving(seed: int):
    spec, series = melbourne_spec(), gappy_series(seed=seed)
    origins = START + HOUR_S * np.asarray([80, 150, 200, 300, 370])
    inputs = window_inputs(series, spec, origins)
    expected = window_features(inputs.history, inputs.future, spec, NUMPY)
    found = window_features(tf.constant(inputs.history), tf.constant(inputs.future), spec, TENSORFLOW)
    for numpy_side, tensorflow_side in zip(expected, found, strict=True):
        np.testing.assert_allclose(tensorflow_side.numpy(), numpy_side, atol=1e-5)


def test_calendar_agrees_over_decades_with_leap_days_and_clock_changes():
    spec = melbourne_spec()
    rng = np.random.default_rng(0)
    leap_days = np.asarray([951_782_400, 1_330_473_600, 1_709_164_800])
    stamps = np.concatenate(
        [
            rng.integers(0, 2_000_000_000, 5_000),
            leap_days,
            np.asarray(spec.calendar.transitions),
            np.asarray(spec.calendar.transitions) - 1,
        ]
    )
    expected = calendar_columns(stamps, spec.calendar)
    found = calendar_columns(tf.constant(stamps), spec.calendar, TENSORFLOW).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
