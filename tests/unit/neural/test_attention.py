import keras
import numpy as np
import tensorflow as tf

from forecasting.neural.models.attention import LuongAttention, MemoryAttention, masked_softmax
from tests.unit.neural.model_windows import drawn


def test_luong_attention_gives_the_context_of_keras_attention():
    layer, queries, values = LuongAttention(6), drawn(2, 4, 6), drawn(2, 9, 6, seed=4)
    counting = tf.concat([tf.zeros([2, 3]), tf.ones([2, 6])], axis=1)
    layer(queries, values, counting)
    mask = tf.cast(counting, tf.bool)
    context = keras.layers.Attention()([queries @ tf.convert_to_tensor(layer.score.kernel), values], mask=[None, mask])
    expected = np.tanh(np.concatenate([context, queries], axis=2) @ layer.combine.kernel.numpy())
    np.testing.assert_allclose(layer(queries, values, counting), expected, atol=1e-5)


def test_what_does_not_count_has_no_weight_and_nothing_at_all_gives_zeros():
    weights = masked_softmax(tf.constant([[5.0, 1.0, 1.0], [5.0, 1.0, 2.0]]), tf.constant([[0.0, 1.0, 1.0], [0.0] * 3]))
    np.testing.assert_allclose(weights, [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]], atol=1e-7)


def reference(layer: MemoryAttention, chunk: np.ndarray, before: np.ndarray) -> np.ndarray:
    """One chunk by Keras' own attention of each head, with the bias of distances as logits added by hand."""
    seen = np.concatenate([before, chunk], axis=1)
    query, key, value = (np.asarray(part(tf.constant(x))) for part, x in
                         ((layer.query, chunk), (layer.key, seen), (layer.value, seen)))  # fmt: skip
    table, size, heads = layer.distance_bias.numpy(), query.shape[2] // 2, []
    for head in range(2):
        part = slice(head * size, (head + 1) * size)
        scores = np.einsum("bqd,bkd->bqk", query[:, :, part], key[:, :, part]) / np.sqrt(size)
        n = chunk.shape[1]
        for q in range(n):
            for k in range(2 * n):
                scores[:, q, k] += table[n + q - k + n - 1, head]
        weights = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
        heads.append(np.einsum("bqk,bkd->bqd", weights, value[:, :, part]))
    return np.asarray(layer.out(tf.constant(np.concatenate(heads, axis=2))))


def test_a_chunk_attends_to_itself_and_to_the_chunk_before():
    layer, values = MemoryAttention(6, 2, 4), drawn(2, 12, 6)
    layer(values, tf.ones([2, 12]))
    layer.distance_bias.assign(drawn(11, 2))
    found = layer(values, tf.ones([2, 12])).numpy()
    for first in (4, 8):
        expected = reference(layer, values.numpy()[:, first : first + 4], values.numpy()[:, first - 4 : first])
        np.testing.assert_allclose(found[:, first : first + 4], expected, atol=1e-5)


def test_within_one_chunk_attention_is_that_of_keras():
    layer, values = MemoryAttention(6, 2, 5), drawn(2, 5, 6)
    layer(values, tf.ones([2, 5]))
    keras_layer = keras.layers.MultiHeadAttention(2, 3)
    keras_layer(values, values)
    parts = [np.asarray(dense.kernel).reshape(6, 2, 3) for dense in (layer.query, layer.key, layer.value)]
    keras_layer.set_weights([
        parts[0], np.zeros((2, 3)), parts[1], np.zeros((2, 3)), parts[2], np.zeros((2, 3)),
        np.asarray(layer.out.kernel).reshape(2, 3, 6), np.zeros(6),
    ])  # fmt: skip
    np.testing.assert_allclose(layer(values, tf.ones([2, 5])), keras_layer(values, values), atol=1e-5)


def test_no_gradient_flows_through_the_memory():
    layer, values = MemoryAttention(6, 2, 4), drawn(2, 8, 6)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_sum(layer(values, tf.ones([2, 8]))[:, 4:] ** 2)
    gradient = tape.gradient(loss, values).numpy()
    assert not np.any(gradient[:, :4])
    assert np.all(np.any(gradient[:, 4:] != 0, axis=2))
    moved = layer(values + tf.concat([tf.ones([2, 4, 6]), tf.zeros([2, 4, 6])], 1), tf.ones([2, 8]))
    assert np.abs((moved - layer(values, tf.ones([2, 8]))).numpy()[:, 4:]).max() > 1e-4
