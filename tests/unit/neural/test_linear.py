from dataclasses import replace

import numpy as np
import tensorflow as tf

from forecasting.config.models import LinearConfig
from forecasting.neural.models import NetworkSpec
from forecasting.neural.models.linear import LinearModel, last_present, moving_average
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn, drawn_window


def linear_model(form: str) -> LinearModel:
    return LinearModel(
        NetworkSpec(melbourne_spec(), LinearConfig(form=form, kernel=3)), LinearConfig(form=form, kernel=3)
    )


def test_the_moving_average_is_over_the_steps_that_count():
    values = tf.constant([[9.0, 2.0, 4.0, 9.0, 5.0]])
    counting = tf.constant([[0.0, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(moving_average(values, counting, 3), [[0.0, 3.0, 5.0, 6.0, 7.0]], rtol=1e-6)


def test_an_even_kernel_reads_one_step_more_ahead():
    np.testing.assert_allclose(moving_average(tf.constant([[1.0, 3.0, 7.0]]), tf.ones([1, 3]), 2), [[2.0, 5.0, 7.0]])


def test_the_last_present_value_lies_before_the_gap():
    present = tf.constant([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(last_present(drawn(3, 3) * 0 + [[1.0, 2.0, 0.0]] * 3, present), [[2.0], [0.0], [0.0]])


def test_an_untrained_model_repeats_the_day_before():
    spec = melbourne_spec()
    window = drawn_window(spec)
    expected = window.past[:, spec.context - 24 :, 0]
    np.testing.assert_allclose(linear_model("nlinear").messages(window, training=False).median, expected, atol=1e-5)


def test_dlinear_is_the_sum_of_two_maps_and_one_of_the_covariates():
    model, window = linear_model("dlinear"), drawn_window(melbourne_spec())
    model.messages(window, training=False)
    seasonal, trend, covariates = drawn(48, 24), drawn(48, 24, seed=8), drawn(*model.covariates.kernel.shape, seed=9)
    model.seasonal.kernel.assign(seasonal)
    model.trend.kernel.assign(trend)
    model.covariates.kernel.assign(covariates)
    target = window.past[:, :, 0].numpy()
    ends = np.concatenate([target[:, :2].mean(1, keepdims=True), target[:, -2:].mean(1, keepdims=True)], axis=1)
    inner = (target[:, :-2] + target[:, 1:-1] + target[:, 2:]) / 3
    smooth = np.concatenate([ends[:, :1], inner, ends[:, 1:]], axis=1)
    expected = (target - smooth) @ seasonal.numpy() + smooth @ trend.numpy()
    expected = expected + (window.lags.numpy()[:, :, 1:] @ covariates.numpy())[:, :, 0]
    np.testing.assert_allclose(model.messages(window, training=False).median, expected, atol=1e-4)


def test_nlinear_follows_a_shift_of_level():
    model, window = linear_model("nlinear"), drawn_window(melbourne_spec())
    model.messages(window, training=False)
    model.seasonal.kernel.assign(drawn(48, 24))
    shifted = replace(window, past=window.past + tf.one_hot(0, window.past.shape[2]) * 5.0)
    before = model.messages(window, training=False).median
    np.testing.assert_allclose(model.messages(shifted, training=False).median, before + 5.0, atol=1e-4)
