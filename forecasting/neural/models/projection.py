"""A linear map along time."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.neural.models.products import product

Tensor = Any


class TimeProjection(keras.layers.Layer):
    """Linear from the steps of the context to the steps of the horizon, the same for every column.

    A shorter history takes the weights of the last steps, so that zeros before it change nothing.
    """

    computes_mixed = True
    """Joins `forecasting.neural.precision.mixed_layers`."""

    def __init__(
        self, context: int, horizon: int, *, initializer: Any = "glorot_uniform", bias: bool = True, name: str
    ) -> None:
        """Set the sizes; weights appear with the first call."""
        super().__init__(name=name)
        self._context, self._horizon = context, horizon
        self._initializer, self._has_bias = keras.initializers.get(initializer), bias

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self._context, self._horizon)
        self.kernel = self.add_weight(shape=shape, initializer=self._initializer, name="kernel")
        if self._has_bias:
            self.bias = self.add_weight(shape=(self._horizon,), initializer="zeros", name="bias")

    @override
    def call(self, values: Tensor) -> Tensor:
        """`[B,L,C]` to `[B,H,C]`, L at most the context."""
        n_steps, n_columns = values.shape[1:]
        by_column = tf.reshape(tf.transpose(values, [0, 2, 1]), [-1, n_steps])
        kernel = tf.convert_to_tensor(self.kernel)[self._context - n_steps :]
        mapped = product(by_column, kernel, self.bias if self._has_bias else None)
        return tf.transpose(tf.reshape(mapped, [-1, n_columns, self._horizon]), [0, 2, 1])
