"""The mean beside the quantiles: its loss, its column of the head, and what of it is served."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.models import SegmentLstmConfig
from forecasting.config.training import TrainingConfig
from forecasting.feature_store import window_index
from forecasting.features.transform import feature_blocks
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.losses import MEAN_WEIGHT, squared_loss
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.head import QuantileHead
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.neural.scaled import predict_scaled
from forecasting.neural.step import TrainingStep
from forecasting.predictors import LitePredictor
from forecasting.schema import Series
from forecasting.variants import Precision
from forecasting.windows import actuals, window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.neural.conftest import SHORT, SMALL, SPLIT, feature_store

ORIGINS = START + HOUR_S * np.asarray([80, 150, 300, 450, 600])


class ConstantNetwork(tf.keras.Model):
    """Answers quantile 2 and mean 5 at both steps, for a window of scale 4."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self.add_weight(shape=(2,), initializer="zeros", name="answer")
        self.answer.assign([2.0, 5.0])

    def call(self, history, future, static=None, training=False):
        answer = tf.ones([tf.shape(history)[0], 2, 1]) * tf.convert_to_tensor(self.answer)
        return answer, tf.fill([tf.shape(history)[0], 1], 4.0)


def lively(spec, **changes):
    """A module of random weights, so that mean and median differ everywhere."""
    spec = replace(spec, mean=True, **changes)
    network = build_network(NetworkSpec(spec, SMALL))
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return ForecastModule(network, spec, CalibrationSpec((1.3, 1.0, 0.8)))


def test_squared_loss_by_hand():
    loss = squared_loss(tf.constant([[1.0, 2.0, 9.0]]), tf.constant([[3.0, 1.0, 0.0]]), tf.constant([[1.0, 0.5, 0.0]]))
    assert float(loss) == pytest.approx(4.0 + 0.5)


def test_loss_of_a_step_is_the_pinball_loss_and_the_weighted_square_of_the_mean():
    spec = melbourne_spec(100, horizon=2, quantiles=(0.5,), mean=True)
    step = TrainingStep(ConstantNetwork(), spec, TrainingConfig(batch_size=1))
    batch = {"history": tf.zeros([1, 3, 4]), "future": tf.zeros([1, 2, 1])}
    batch |= {"target": tf.constant([[3.0, 100.0]]), "present": tf.constant([[1.0, 0.0]])}
    total, n_present = step.score(batch).numpy()
    # Scale 4: pinball of 0.5 over its root 2, square of 3 - 5 over 4 ** 1.5 = 8.
    assert total == pytest.approx(0.5 / 2 + MEAN_WEIGHT * 4 / 8)
    assert n_present == 1.0


def test_untrained_mean_is_the_median():
    spec = melbourne_spec(700, mean=True)
    head = QuantileHead(spec, SMALL)
    rng = np.random.default_rng(0)
    answer = head(tf.constant(rng.normal(size=(2, 24, 5)), tf.float32), tf.ones([2, 24, 3])).numpy()
    assert answer.shape == (2, 24, 4)
    np.testing.assert_allclose(answer[:, :, 3], answer[:, :, 1], atol=1e-6)


def test_mean_may_lie_outside_of_the_quantiles():
    head = QuantileHead(melbourne_spec(700, mean=True), SMALL)
    head(tf.ones([1, 24, 5]), tf.ones([1, 24, 3]))
    head.mean.bias.assign([50.0])
    answer = head(tf.ones([1, 24, 5]), tf.ones([1, 24, 3])).numpy()
    np.testing.assert_allclose(answer[:, :, 3], answer[:, :, 1] + 50.0, rtol=1e-5)
    assert np.all(np.diff(answer[:, :, :3], axis=2) > 0)


def test_mean_beside_a_given_median_alone_learns_and_leaves_the_median():
    head = QuantileHead(melbourne_spec(700, mean=True, quantiles=(0.5,)), SMALL, given_median=True)
    given = tf.Variable(tf.ones([2, 24]))
    with tf.GradientTape() as tape:
        answer = head(tf.ones([2, 24, 5]), tf.ones([2, 24, 3]), given)
        head.mean.kernel.assign(tf.ones_like(head.mean.kernel))
        loss = tf.reduce_sum(head(tf.ones([2, 24, 5]), tf.ones([2, 24, 3]), given)[:, :, 1])
    assert answer.shape == (2, 24, 2)
    gradients = tape.gradient(loss, [given, *(weight.value for weight in head.trainable_variables)])
    np.testing.assert_array_equal(gradients[0].numpy(), np.zeros((2, 24)))
    assert all(float(tf.reduce_sum(tf.abs(gradient))) > 0 for gradient in gradients[1:])


def test_squares_of_the_mean_move_nothing_but_its_own_weights():
    spec = melbourne_spec(700, mean=True)
    network = build_network(NetworkSpec(spec, SMALL))
    n_past, n_known = network.n_past, len(feature_blocks(spec).known)
    rng = np.random.default_rng(0)
    history = tf.constant(rng.normal(size=(2, 48, n_past + n_known)), tf.float32)
    future = tf.constant(rng.normal(size=(2, 24, n_known)), tf.float32)
    network.head.mean.kernel.assign(tf.ones_like(network.head.mean.kernel))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(history, future)[0][:, :, 3]))
    gradients = tape.gradient(loss, [weight.value for weight in network.trainable_variables])
    pairs = zip(network.trainable_variables, gradients, strict=True)
    moved = [weight.path for weight, gradient in pairs if np.any(gradient.numpy())]
    assert [path.split("/")[-2:] for path in moved] == [["mean", "kernel"], ["mean", "bias"]]


def test_a_mean_changes_no_other_weight_of_a_new_network():
    networks = []
    for mean in (False, True):
        tf.keras.utils.set_random_seed(7)
        networks.append(build_network(NetworkSpec(melbourne_spec(700, mean=mean), SMALL)))
    plain, with_mean = networks
    others = [weight for weight in with_mean.trainable_variables if "/mean/" not in weight.path]
    assert len(others) == len(with_mean.trainable_variables) - 2
    for one, other in zip(plain.trainable_variables, others, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_calibration_reads_and_stretches_the_quantiles_only(hourly_store):
    module = lively(hourly_store.spec)
    store = replace(hourly_store, spec=module.spec)
    windows = window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24)
    assert predict_scaled(module.network, store, windows, 64)["quantiles"].shape[2] == 3
    inputs = window_inputs(gappy_series(700), module.spec, ORIGINS)
    other = ForecastModule(module.network, module.spec, CalibrationSpec((3.0, 1.0, 0.2)))
    stretched, plain = (one.quantiles(inputs.history, inputs.future).numpy() for one in (other, module))
    assert np.abs(stretched[:, :, 0] - plain[:, :, 0]).min() > 0
    np.testing.assert_array_equal(stretched[:, :, 3], plain[:, :, 3])


def test_mean_of_a_count_is_not_rounded_and_keeps_its_bounds(hourly_store):
    module = lively(hourly_store.spec, whole_numbers=True, lower_bound=95.0, upper_bound=105.0)
    inputs = window_inputs(gappy_series(700), module.spec, ORIGINS)
    answer = module.quantiles(inputs.history, inputs.future).numpy()
    np.testing.assert_array_equal(answer[:, :, :3], np.round(answer[:, :, :3]))
    mean = answer[:, :, 3]
    assert (mean.min(), mean.max()) == (95.0, 105.0)
    inside = mean[(mean > 95.0) & (mean < 105.0)]
    assert np.mean(inside == np.round(inside)) < 0.1


def test_exported_and_converted_models_answer_the_mean_of_the_network(hourly_store, tmp_path):
    module = lively(hourly_store.spec)
    inputs = window_inputs(gappy_series(700), module.spec, ORIGINS)
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    assert expected.shape[1:] == module.spec.signature.output_shapes()["quantiles"] == (24, 4)
    assert np.abs(expected[:, :, 3] - expected[:, :, 1]).mean() > 0.1
    export_saved_model(module, tmp_path / "saved_model")
    np.testing.assert_allclose(SavedModelPredictor(tmp_path / "saved_model").predict(inputs), expected, rtol=1e-5)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    np.testing.assert_allclose(LitePredictor(path).predict(inputs), expected, rtol=1e-4)
    path.write_bytes(convert_to_lite(module, Precision.INT8_WEIGHTS).content)
    assert np.mean(np.abs(LitePredictor(path).predict(inputs) - expected)) / np.mean(expected) < 0.02


def test_mean_of_skewed_noise_beats_the_median_in_squares_and_in_sums():
    # Log-normal noise of sigma 1: the mean lies 65 % above the median.
    rng, hours = np.random.default_rng(2), np.arange(700)
    load = (100 + 40 * np.sin(2 * np.pi * hours / 24)) * np.exp(rng.normal(0, 1.0, 700))
    series = Series("a", START, np.column_stack([load, gappy_series(700).values[:, 1:]]))
    store = feature_store(melbourne_spec(700, mean=True, lower_bound=0.0), [series])
    loop = TrainingLoop(
        NetworkSpec(store.spec, SegmentLstmConfig(units=4, head_units=4, step_units=2)),
        SHORT.model_copy(update={"max_epochs": 12}),
        tf.distribute.get_strategy(),
    )
    train = window_index(store, None, SPLIT.validation_end, min_age=48)
    loop.fit(store, train, None, checkpoint=None, key="skewed")
    module = ForecastModule(loop.network, store.spec, CalibrationSpec((1.0, 1.0, 1.0)))
    origins = SPLIT.validation_end + HOUR_S * np.arange(76)
    inputs, actual = window_inputs(series, store.spec, origins), actuals(series, store.spec, origins)
    answer = module.quantiles(inputs.history, inputs.future).numpy()
    median, mean = answer[:, :, 1], answer[:, :, 3]
    # Over whole days the wave is 100: so is the true median, and the true mean is 165.
    assert np.mean(median) < 125
    assert 140 < np.mean(mean) < 190
    assert np.mean((mean - actual) ** 2) < np.mean((median - actual) ** 2)
    assert np.mean(np.abs(mean - actual)) > np.mean(np.abs(median - actual))
    by_day = {name: np.abs(forecast.sum(axis=1) - actual.sum(axis=1)).mean() for name, forecast in
              (("mean", mean), ("median", median))}  # fmt: skip
    assert by_day["mean"] < 0.8 * by_day["median"]
