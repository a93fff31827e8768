from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from forecasting.neural.models.recurrence import GRU, LSTM, RECURRENCES, Recurrence, portable_recurrence


def drawn(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(3).normal(size=shape).astype(np.float32))


def test_the_fused_lstm_gives_the_numbers_of_the_portable_one():
    layer, inputs = LSTM(6), drawn(4, 9, 5)
    fused, states = layer(inputs)
    with portable_recurrence():
        plain, plain_states = layer(inputs)
    np.testing.assert_allclose(fused, plain, atol=1e-6)
    np.testing.assert_allclose(states[1], plain_states[1], atol=1e-6)


def test_the_fused_lstm_has_the_gradients_of_the_portable_one():
    layer, inputs, start = LSTM(6), drawn(4, 9, 5), (drawn(4, 6), drawn(4, 6))
    layer(inputs)

    def gradients() -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, *start])
            outputs, (last, memory) = layer(inputs, state=start)
            loss = tf.reduce_sum(outputs**2) + tf.reduce_sum(last * memory)
        return [part.numpy() for part in tape.gradient(loss, [*layer.trainable_variables, inputs, *start])]

    fused = gradients()
    with portable_recurrence():
        plain = gradients()
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_lstm_gives_the_numbers_of_keras():
    layer, inputs = LSTM(6), drawn(4, 9, 5)
    layer(inputs)
    reference = keras.layers.LSTM(6, return_sequences=True)
    reference(inputs)

    def as_keras(weight: np.ndarray) -> np.ndarray:
        entry, candidate, forget, exit_ = np.split(weight, 4, axis=-1)
        return np.concatenate([entry, forget, candidate, exit_], axis=-1)

    reference.set_weights([as_keras(weight.numpy()) for weight in (layer.kernel, layer.recurrent_kernel, layer.bias)])
    np.testing.assert_allclose(layer(inputs)[0], reference(inputs), atol=1e-6)


def test_gru_gives_the_numbers_of_keras():
    layer, inputs = GRU(6), drawn(4, 9, 5)
    layer(inputs)
    layer.bias.assign(drawn(36))
    reference = keras.layers.GRU(6, return_sequences=True)
    reference(inputs)
    reference.set_weights([layer.kernel.numpy(), layer.recurrent_kernel.numpy(), layer.bias.numpy().reshape(2, 18)])
    np.testing.assert_allclose(layer(inputs)[0], reference(inputs), atol=1e-6)


@pytest.mark.parametrize("cell", sorted(RECURRENCES))
@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("padding", ["before", "after"])
def test_a_padded_sequence_ends_in_the_state_of_the_unpadded_one(cell, portable, padding):
    layer, inputs = RECURRENCES[cell](6), drawn(2, 7, 5)
    _, unpadded = layer(inputs)
    junk = 100.0 + drawn(2, 4, 5)
    ones, zeros = tf.ones([2, 7]), tf.zeros([2, 4])
    padded = tf.concat([junk, inputs] if padding == "before" else [inputs, junk], axis=1)
    counting = tf.concat([zeros, ones] if padding == "before" else [ones, zeros], axis=1)
    call = portable_recurrence if portable else nullcontext
    with call():
        _, found = layer(padded, counting=counting, padding=padding)
    for one, other in zip(found, unpadded, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("cell", sorted(RECURRENCES))
@pytest.mark.parametrize("padding", ["before", "after"])
def test_a_sequence_of_padding_alone_leaves_the_state_at_zero(cell, padding):
    layer = RECURRENCES[cell](6)
    _, found = layer(100.0 + drawn(2, 7, 5), counting=tf.zeros([2, 7]), padding=padding)
    for part in found:
        assert not np.any(part.numpy())


@pytest.mark.parametrize("cell", sorted(RECURRENCES))
def test_a_long_recurrence_is_a_loop_with_the_numbers_of_unrolled_steps(cell):
    layer, inputs = RECURRENCES[cell](6, recurrent_dropout=0.4), drawn(2, 80, 5)
    counting = tf.concat([tf.zeros([2, 10]), tf.ones([2, 70])], axis=1)
    layer(inputs)

    @tf.function(autograph=False)
    def looped() -> tf.Tensor:
        # Not by the fused way of its kind, which needs no loop.
        first = layer._zero_state(inputs)
        return Recurrence._run(layer, inputs, first, counting, padding="before", training=False)[0]

    with portable_recurrence():
        unrolled, _ = layer(inputs, counting=counting)
    graph = looped.get_concrete_function().graph
    assert any(operation.type in {"While", "StatelessWhile"} for operation in graph.get_operations())
    np.testing.assert_allclose(looped(), unrolled, atol=1e-6)


@pytest.mark.parametrize("cell", sorted(RECURRENCES))
def test_recurrent_dropout_changes_training_alone(cell):
    layer, inputs = RECURRENCES[cell](16, recurrent_dropout=0.5), drawn(2, 9, 5)
    still = layer(inputs, training=False)[0].numpy()
    np.testing.assert_array_equal(layer(inputs, training=False)[0], still)
    assert np.abs(layer(inputs, training=True)[0].numpy() - still).max() > 1e-3
