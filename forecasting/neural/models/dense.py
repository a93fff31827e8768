"""A dense layer as one matrix product of rank 2, whatever the rank of its inputs."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from typing_extensions import override

from forecasting.neural.models.products import is_rounded, product

Tensor = Any


class Dense(keras.layers.Dense):
    """As that of Keras, whose way with steps works out its shapes in the graph, which TensorFlow Lite pays for at every call."""

    @override
    def call(self, inputs: Tensor, order: npt.NDArray[np.int64] | None = None) -> Tensor:
        """`[B,...,C]` to `[B,...,units]`; all sizes but that of the batch are known.

        Args:
            inputs: `[B,...,C]`.
            order: Row of the kernel `[C]` that has the weights of each column, where they come in another order than its rows.
        """
        if len(inputs.shape) == 2:
            return self._rows(inputs, order)
        rows = self._rows(tf.reshape(inputs, [-1, inputs.shape[-1]]), order)
        return tf.reshape(rows, [-1, *inputs.shape[1:-1], self.units])

    def _rows(self, inputs: Tensor, order: npt.NDArray[np.int64] | None) -> Tensor:
        if order is None and not is_rounded():
            return super().call(inputs)
        kernel = self.kernel if order is None else tf.gather(self.kernel, order)
        return self.activation(product(inputs, kernel, self.bias))
