"""Mixed precision: matrix products in 16 bits while training; weights, loss and the exported model in float32.

P. Micikevicius et al., "Mixed Precision Training" (ICLR 2018). Layers whose work is matrix products
compute in 16 bits and hand on float32, so a network's own arithmetic between them (scales, levels,
quantiles) stays in float32, and so does everything that is traced outside of `mixed_layers`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

Tensor = Any
FIRST_SCALE = 2.0**15
_LARGEST_SCALE = 2.0**24
GROW_AFTER_STEPS = 200
"""Finite steps in a row after which the loss scale doubles."""
_PRODUCT_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.DepthwiseConv1D,
    keras.layers.SeparableConv1D,
    keras.layers.LSTMCell,
    keras.layers.GRUCell,
    keras.layers.SimpleRNNCell,
)
MIXED_MARK = "computes_mixed"
"""A layer of another class joins by an attribute of this name that is true."""


@contextmanager
def mixed_layers(network: keras.Model, precision: str) -> Iterator[None]:
    """Layers of matrix products compute in a precision inside this block; for tracing a function.

    Args:
        network: A network whose weights exist.
        precision: `float32` (nothing happens), `mixed_bfloat16` or `mixed_float16`.
    """
    layers = product_layers(network) if precision != "float32" else []
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = keras.DTypePolicy(precision)
        object.__setattr__(layer, "call", _float32_outputs(layer.call))
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            object.__delattr__(layer, "call")
            layer.dtype_policy = policy


def product_layers(network: keras.Model) -> list[keras.Layer]:
    """Layers whose work is matrix products."""
    layers = network._flatten_layers(include_self=False)  # noqa: SLF001 - `layers` does not go into layers of layers
    return [layer for layer in layers if isinstance(layer, _PRODUCT_LAYERS) or getattr(layer, MIXED_MARK, False)]


def _float32_outputs(call: Callable[..., Any]) -> Callable[..., Any]:
    def changed(*args: Any, **kwargs: Any) -> Any:
        return tf.nest.map_structure(lambda tensor: tf.cast(tensor, tf.float32), call(*args, **kwargs))

    return changed


class LossScale:
    """The dynamic scale of a float16 loss: halves after a step that overflowed, doubles after many that did not."""

    def __init__(self, precision: str) -> None:
        """A scale that stays 1 where the precision needs none; make it in the strategy's scope."""
        self.active = precision == "mixed_float16"
        self.value = tf.Variable(FIRST_SCALE if self.active else 1.0, trainable=False, name="loss_scale")
        self.n_finite = tf.Variable(0.0, trainable=False, name="finite_steps")

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint keeps."""
        return [self.value, self.n_finite]

    def update(self, finite: Tensor) -> None:
        """Move the scale after a step whose gradients were finite, or not; outside of replicas."""
        n = tf.where(finite, self.n_finite + 1.0, 0.0)
        grow = n >= GROW_AFTER_STEPS
        grown = tf.where(grow, tf.minimum(self.value * 2.0, _LARGEST_SCALE), self.value)
        self.value.assign(tf.where(finite, grown, tf.maximum(self.value / 2.0, 1.0)))
        self.n_finite.assign(tf.where(grow, 0.0, n))
