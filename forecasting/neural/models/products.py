"""Matrix products with weights, which can be traced as INT8 will compute them.

B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018):
inputs, weights and outputs are rounded to 256 steps on the way forwards, and gradients pass as if they were not (Y. Bengio,
N. Léonard and A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", 2013). Ranges are those of the
batch, as those of a converted model are of its calibration windows; weights have one for each output.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

Tensor = Any
_NARROWEST = 1e-6
"""Least range, for what is zeros only."""
_rounded: ContextVar[bool] = ContextVar("rounded_products", default=False)


@contextmanager
def rounded_products() -> Iterator[None]:
    """Within it, products are traced as INT8 computes them; recurrences must be portable."""
    token = _rounded.set(True)
    try:
        yield
    finally:
        _rounded.reset(token)


def is_rounded() -> bool:
    """Whether products are traced as INT8 computes them here."""
    return _rounded.get()


def product(inputs: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """`[rows,I]` times `[I,O]`, plus `[O]`."""
    kernel = tf.convert_to_tensor(kernel)
    if not is_rounded():
        found = tf.matmul(inputs, kernel)
        return found if bias is None else found + bias
    found = tf.matmul(_rounded_values(inputs), _rounded_weights(kernel))
    return _rounded_values(found if bias is None else found + bias)


def _rounded_values(values: Tensor) -> Tensor:
    fixed = tf.stop_gradient(values)
    low = tf.minimum(tf.reduce_min(fixed), 0.0)
    high = tf.maximum(tf.reduce_max(fixed), low + _NARROWEST)
    return tf.quantization.fake_quant_with_min_max_vars(values, low, tf.maximum(high, 0.0))


def _rounded_weights(kernel: Tensor) -> Tensor:
    largest = tf.maximum(tf.reduce_max(tf.abs(tf.stop_gradient(kernel)), axis=0), _NARROWEST)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)
