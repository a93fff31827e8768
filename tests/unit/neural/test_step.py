"""What each setting does to one step of a network that is small enough to follow by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.training import AugmentationConfig, TrainingConfig
from forecasting.neural.precision import GROW_AFTER_STEPS, mixed_layers
from forecasting.neural.step import TrainingStep
from forecasting.neural.watch import StepRow
from tests.unit.features.feature_specs import melbourne_spec

SPEC = melbourne_spec(100, horizon=2, quantiles=(0.5,))
PLAIN = {"optimizer": "sgd", "momentum": 0.0, "clip": "none", "batch_size": 4, "ema": 0.0}
RATE = 0.1


class LineNetwork(keras.Model):
    """Both horizon steps are a line over the last two past columns."""

    def __init__(self) -> None:
        super().__init__()
        self.line = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant([[0.5], [-0.25]]))

    def call(self, history, future, static=None, training=False):
        found = self.line(history[:, -1, :2])
        return tf.stack([found, found], axis=1), tf.ones_like(found)


def batch(*, size: float = 1.0, present: float = 1.0) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "history": tf.constant(size * rng.normal(1.0, 0.5, (4, 3, 20)), tf.float32),
        "future": tf.zeros([4, 2, 1]),
        "target": tf.fill([4, 2], 1e6),
        "present": tf.fill([4, 2], present),
    }


def step_of(**settings) -> TrainingStep:
    network = LineNetwork()
    network(tf.zeros([1, 3, 20]), tf.zeros([1, 2, 1]))
    return TrainingStep(network, SPEC, TrainingConfig(**{**PLAIN, **settings}))


def kernel(step: TrainingStep) -> np.ndarray:
    return step._weights[0].numpy().ravel().copy()


def bias(step: TrainingStep) -> float:
    return float(step._weights[1].numpy()[0])


def moves(n: int, **settings) -> list[np.ndarray]:
    """How the kernel moved in each of n steps of the same batch."""
    step = step_of(**settings)
    places = [kernel(step)]
    for number in range(n):
        step.train(batch(), RATE, number)
        places.append(kernel(step))
    return list(np.diff(places, axis=0))


# The target is far above: the gradient is -0.5 times the mean input, whatever the weights.
GRADIENT = -0.5 * batch()["history"].numpy()[:, -1, :2].mean(axis=0)


def test_sgd_goes_against_the_gradient():
    first, second = moves(2)
    np.testing.assert_allclose(first, -RATE * GRADIENT, rtol=1e-4)
    np.testing.assert_allclose(second, -RATE * GRADIENT, rtol=1e-4)


def test_momentum_carries_on():
    first, second = moves(2, momentum=0.5)
    np.testing.assert_allclose(first, -RATE * GRADIENT, rtol=1e-4)
    np.testing.assert_allclose(second, -RATE * GRADIENT * 1.5, rtol=1e-4)


def test_nesterov_looks_ahead():
    (first,) = moves(1, momentum=0.5, nesterov=True)
    np.testing.assert_allclose(first, -RATE * GRADIENT * 1.5, rtol=1e-4)


def test_adam_moves_every_weight_by_the_rate():
    np.testing.assert_allclose(moves(1, optimizer="adam")[0], -RATE * np.sign(GRADIENT), rtol=1e-3)


def test_adamw_decays_the_weights_besides():
    (moved,) = moves(1, optimizer="adamw", weight_decay=0.5)
    np.testing.assert_allclose(moved, -RATE * np.sign(GRADIENT) - RATE * 0.5 * np.asarray([0.5, -0.25]), rtol=1e-3)


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    (moved,) = moves(1, optimizer="rmsprop", momentum=0.0)
    np.testing.assert_allclose(moved, -RATE * np.sign(GRADIENT) / np.sqrt(0.1), rtol=1e-3)


def row_of(step: TrainingStep, **changes) -> StepRow:
    return StepRow.parse(step.train(batch(**changes), RATE, 0).numpy())


def test_unclipped_gradients_have_the_same_norms_before_and_after():
    row = row_of(step_of())
    assert row.before[0] == pytest.approx(np.linalg.norm(GRADIENT), rel=1e-4)
    assert row.after.tolist() == row.before.tolist()
    assert not row.clipped


def test_global_norm_clips_all_weights_by_one_factor():
    row = row_of(step_of(clip="global_norm", clip_norm=0.3))
    assert np.linalg.norm(row.before) > 0.3
    assert np.linalg.norm(row.after) == pytest.approx(0.3, rel=1e-5)
    assert row.after / row.before == pytest.approx([row.after[0] / row.before[0]] * 2)
    assert row.clipped


def test_norm_clips_each_weight_by_itself():
    row = row_of(step_of(clip="norm", clip_norm=0.51))
    assert row.before[0] > 0.51 > row.before[1]
    assert row.after == pytest.approx([0.51, row.before[1]], rel=1e-5)
    assert row.clipped


def test_value_clips_single_numbers():
    step = step_of(clip="value", clip_value=0.2)
    before = kernel(step)
    row = row_of(step)
    np.testing.assert_allclose(kernel(step) - before, [RATE * 0.2, RATE * 0.2], rtol=1e-4)
    assert row.after == pytest.approx([np.hypot(0.2, 0.2), 0.2], rel=1e-5)
    assert row.clipped


def test_a_bound_that_nothing_reaches_clips_nothing():
    assert not row_of(step_of(clip="global_norm", clip_norm=100.0)).clipped
    assert not row_of(step_of(clip="norm", clip_norm=100.0)).clipped
    assert not row_of(step_of(clip="value", clip_value=100.0)).clipped


def test_normalised_gradients_have_norm_one_before_they_are_clipped():
    row = row_of(step_of(normalize_gradients=True))
    assert np.linalg.norm(row.after) == pytest.approx(1.0, rel=1e-5)
    clipped = row_of(step_of(normalize_gradients=True, clip="global_norm", clip_norm=0.25))
    assert np.linalg.norm(clipped.after) == pytest.approx(0.25, rel=1e-5)


def test_l2_shrinks_kernels_and_leaves_biases_and_the_reported_loss():
    step = step_of(l2=0.5)
    step._weights[1].assign([3.0])
    row = row_of(step, present=0.0)
    np.testing.assert_allclose(kernel(step), (1.0 - RATE * 2 * 0.5) * np.asarray([0.5, -0.25]), rtol=1e-5)
    assert bias(step) == 3.0
    assert row.loss == 0.0


def test_the_rate_of_a_step_is_the_one_it_was_given():
    step = step_of()
    for rate in (0.1, 0.3):
        before = kernel(step)
        step.train(batch(), rate, 0)
        np.testing.assert_allclose(kernel(step) - before, -rate * GRADIENT, rtol=1e-3)


def test_augmentation_changes_what_a_step_learns_from_and_nothing_that_is_scored():
    changed = step_of(augmentation=AugmentationConfig(scaling=0.3))
    plain = step_of()
    assert row_of(changed).loss != row_of(plain).loss
    fresh, other = step_of(augmentation=AugmentationConfig(scaling=0.3)), step_of()
    assert fresh.score(batch()).numpy().tolist() == other.score(batch()).numpy().tolist()


def products(function, *arguments) -> set[str]:
    """Types of the matrix products of a function, its inner functions included."""
    graph = tf.function(function, autograph=False).get_concrete_function(*arguments).graph
    return {op.inputs[0].dtype.name for op in graph.get_operations() if op.type == "MatMul"}


SEED = tf.constant([0, 0])


@pytest.mark.parametrize(("precision", "product"), [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")])
def test_mixed_precision_multiplies_in_16_bits_and_keeps_weights_loss_and_export_in_float32(precision, product):
    step = step_of(precision=precision)
    assert products(step._loss_and_gradients, batch(), SEED, tf.constant(1.0)) == {product}
    loss, gradients = step._loss_and_gradients(batch(), SEED, tf.constant(1.0))
    assert {loss.dtype, *(gradient.dtype for gradient in gradients)} == {tf.float32}
    assert {weight.dtype for weight in step._weights} == {"float32"}
    network = step._network
    assert products(lambda x: network(x["history"], x["future"])[0], batch()) == {"float32"}
    with mixed_layers(network, precision):
        assert network(batch()["history"], batch()["future"])[0].dtype == tf.float32
    np.testing.assert_allclose(-gradients[0].numpy().ravel(), -GRADIENT, rtol=1e-2)


def test_a_float16_step_that_overflows_changes_nothing_and_halves_the_loss_scale():
    step = step_of(precision="mixed_float16", optimizer="adam")
    step.train(batch(), RATE, 0)
    before = [variable.numpy() for variable in (*step._weights, *step.optimizer.variables[2:])]
    scale = float(step.loss_scale.value)
    row = row_of(step, size=1e5)
    assert not row.finite
    for variable, value in zip((*step._weights, *step.optimizer.variables[2:]), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert float(step.loss_scale.value) == scale / 2


def test_the_loss_scale_doubles_after_many_finite_steps():
    step = step_of(precision="mixed_float16")
    scale = float(step.loss_scale.value)
    step.loss_scale.n_finite.assign(GROW_AFTER_STEPS - 2)
    assert row_of(step).finite
    assert float(step.loss_scale.value) == scale
    row_of(step)
    assert float(step.loss_scale.value) == 2 * scale
    assert float(step.loss_scale.n_finite) == 0.0


def test_the_gradients_of_a_scaled_loss_are_those_of_the_loss():
    step = step_of(precision="mixed_float16")
    before = kernel(step)
    row_of(step)
    np.testing.assert_allclose(kernel(step) - before, -RATE * GRADIENT, rtol=1e-2)


def test_xla_compiles_the_gradients_to_the_same_numbers():
    compiled, plain = step_of(xla=True), step_of()
    arguments = batch(), tf.constant([0, 0], tf.int32), compiled.loss_scale.value
    made = compiled._gradients.experimental_get_compiler_ir(*arguments)(stage="hlo")
    assert str(made).startswith("HloModule")
    np.testing.assert_allclose(row_of(compiled).before, row_of(plain).before, rtol=1e-5)
    np.testing.assert_allclose(kernel(compiled), kernel(plain), rtol=1e-5)
