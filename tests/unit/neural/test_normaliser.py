import numpy as np
import pytest
import tensorflow as tf

from forecasting.features.transform import feature_blocks
from forecasting.neural.models.normaliser import WINDOW_SCALE_FLOOR, WindowNormaliser
from tests.unit.features.feature_specs import melbourne_spec


def scales_of(*targets: float | None) -> list[float]:
    """Scales of windows that have a constant target; none: nothing is present."""
    spec = melbourne_spec(context=48, target_scaling="window", derived=())
    past = np.zeros((len(targets), 48, len(feature_blocks(spec).past)), dtype=np.float32)
    for row, target in zip(past, targets, strict=True):
        row[:, :2] = (0.0, 0.0) if target is None else (target, 1.0)
    return WindowNormaliser(spec)(tf.constant(past)).scale.numpy()[:, 0].tolist()


def test_the_scale_of_a_window_is_the_mean_size_of_its_values_and_never_below_the_floor():
    assert scales_of(-3.0, 0.0) == [3.0, pytest.approx(WINDOW_SCALE_FLOOR)]


def test_a_window_without_a_value_takes_the_scale_of_the_train_cut():
    assert scales_of(None) == [1.0]
