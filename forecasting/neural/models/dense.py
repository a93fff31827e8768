"""A dense layer as one matrix product of rank 2, whatever the rank of its inputs."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.neural.models.products import is_rounded, product

Tensor = Any


class Dense(keras.layers.Dense):
    """As that of Keras, whose way with steps works out its shapes in the graph, which TensorFlow Lite pays for at every call."""

    @override
    def call(self, inputs: Tensor) -> Tensor:
        """`[B,...,C]` to `[B,...,units]`; all sizes but that of the batch are known."""
        if len(inputs.shape) == 2:
            return self._rows(inputs)
        rows = self._rows(tf.reshape(inputs, [-1, inputs.shape[-1]]))
        return tf.reshape(rows, [-1, *inputs.shape[1:-1], self.units])

    def _rows(self, inputs: Tensor) -> Tensor:
        if not is_rounded():
            return super().call(inputs)
        return self.activation(product(inputs, self.kernel, self.bias))
