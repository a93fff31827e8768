"""A dense layer as one matrix product of rank 2, whatever the rank of its inputs."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

Tensor = Any


class Dense(keras.layers.Dense):
    """As that of Keras, whose way with steps works out its shapes in the graph, which TensorFlow Lite pays for at every call."""

    @override
    def call(self, inputs: Tensor) -> Tensor:
        """`[B,...,C]` to `[B,...,units]`; all sizes but that of the batch are known."""
        if len(inputs.shape) == 2:
            return super().call(inputs)
        rows = super().call(tf.reshape(inputs, [-1, inputs.shape[-1]]))
        return tf.reshape(rows, [-1, *inputs.shape[1:-1], self.units])
