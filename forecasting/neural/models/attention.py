"""Attention over what comes before."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.neural.models.dense import Dense

Tensor = Any
_HIDDEN = 1e4
"""Taken off a logit, it makes the weight exactly 0 in float32, beside any that is not hidden."""


class LuongAttention(keras.layers.Layer):
    """Global attention with the score `general`, all queries at once.

    M.-T. Luong, H. Pham and C. Manning, "Effective Approaches to Attention-based Neural Machine Translation" (EMNLP
    2015, arXiv:1508.04025), equations 5, 7 and 8.
    """

    def __init__(self, units: int, name: str = "attention") -> None:
        """Create the layers."""
        super().__init__(name=name)
        self._units = units
        self.score = Dense(units, use_bias=False, name="score")
        self.combine = Dense(units, activation="tanh", use_bias=False, name="combine")

    @override
    def call(self, queries: Tensor, values: Tensor, counting: Tensor) -> Tensor:
        """Queries `[B,H,units]` over values `[B,T,units]`, of which those count where `counting` `[B,T]` is 1."""
        scores = tf.matmul(self.score(queries), values, transpose_b=True)
        weights = masked_softmax(scores, counting[:, None])
        return self.combine(tf.concat([tf.matmul(weights, values), queries], axis=2))


class MemoryAttention(keras.layers.Layer):
    """Self-attention of several heads within chunks of a sequence and the chunk before each.

    Z. Dai et al., "Transformer-XL: Attentive Language Models beyond a Fixed-Length Context" (ACL 2019,
    arXiv:1901.02860): the chunk before is a memory through which no gradient flows. All chunks of a layer run at once,
    because what a chunk remembers is the layer below. Positions count by their distance alone, as a bias by head (C. Raffel
    et al., "Exploring the Limits of Transfer Learning", 2020). Cost is linear in the length.
    """

    def __init__(self, units: int, heads: int, chunk: int, name: str = "attention") -> None:
        """Create the layers.

        Args:
            units: Width of the sequence, a multiple of heads.
            heads: Attention heads.
            chunk: Tokens of one chunk.
            name: Name of the layer.
        """
        super().__init__(name=name)
        self._units, self._heads, self._chunk = units, heads, chunk
        self.query = Dense(units, name="query")
        self.key = Dense(units, use_bias=False, name="key")
        self.value = Dense(units, name="value")
        self.out = Dense(units, name="out")

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (3 * self._chunk - 1, self._heads)
        self.distance_bias = self.add_weight(shape=shape, initializer="zeros", name="distance_bias")

    @override
    def call(self, values: Tensor, counting: Tensor) -> Tensor:
        """`[B,T,units]` to the same, T a multiple of the chunk; counting `[B,T]` is 0 for padding."""
        chunk, n_tokens = self._chunk, values.shape[1]
        own = tf.reshape(values, [-1, chunk, self._units])
        seen = tf.concat([_chunk_before(values, chunk), own], axis=1)
        counted = tf.reshape(counting, [-1, chunk])
        counted = tf.concat([_chunk_before(counting[:, :, None], chunk)[:, :, 0], counted], axis=1)
        query, key, value = self.query(own), self.key(seen), self.value(seen)
        size = self._units // self._heads
        mixed = []
        for head in range(self._heads):
            part = slice(head * size, (head + 1) * size)
            scores = tf.matmul(query[:, :, part], key[:, :, part], transpose_b=True) / math.sqrt(size)
            weights = masked_softmax(scores + self._bias(head), counted[:, None])
            mixed.append(tf.matmul(weights, value[:, :, part]))
        return tf.reshape(self.out(tf.concat(mixed, axis=2)), [-1, n_tokens, self._units])

    def _bias(self, head: int) -> Tensor:
        """Bias of each query of a chunk on each key of the chunk before and of its own `[1,chunk,2 * chunk]`."""
        at = np.arange(self._chunk)[:, None] + self._chunk
        distance = at - np.arange(2 * self._chunk)[None]
        return tf.gather(tf.convert_to_tensor(self.distance_bias)[:, head], distance + self._chunk - 1)[None]


def masked_softmax(scores: Tensor, counting: Tensor) -> Tensor:
    """Weights over the last axis, 0 where `counting` is 0; all 0 where nothing counts."""
    counting = tf.cast(counting, scores.dtype)
    return tf.nn.softmax(scores - _HIDDEN * (1.0 - counting), axis=-1) * counting


def _chunk_before(values: Tensor, chunk: int) -> Tensor:
    """Of each chunk of `[B,T,D]` the one before it, zeros for the first, without gradient `[B * chunks,chunk,D]`."""
    if values.shape[1] == chunk:
        # Nothing to shift: TensorFlow Lite fails on a tensor without elements.
        return tf.zeros_like(values)
    kept = values[:, : values.shape[1] - chunk]
    shifted = tf.pad(tf.stop_gradient(kept), [[0, 0], [chunk, 0], [0, 0]])
    return tf.reshape(shifted, [-1, chunk, values.shape[2]])
