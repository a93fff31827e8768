"""`forecasting.features.namespace.ArrayNamespace` on TensorFlow."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from forecasting.features.namespace import Array


class TensorFlowNamespace:
    """Features in the graph. See the protocol for what each operation means."""

    def constant(self, values: Any, dtype: str) -> Array:
        """Tensor of literal values."""
        return tf.constant(values, dtype=dtype)

    def cast(self, x: Array, dtype: str) -> Array:
        """Convert the type."""
        return tf.cast(x, dtype)

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return tf.concat(list(parts), axis=axis) if len(parts) > 1 else parts[0]

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Choose element by element."""
        return tf.where(condition, x, y)

    def is_nan(self, x: Array) -> Array:
        """True where not a number; written as x ≠ x, which TensorFlow Lite has."""
        return tf.not_equal(x, x)

    def shift(self, x: Array, n_steps: int, fill: float) -> Array:
        """Move to later steps; T must be static."""
        moved = min(n_steps, x.shape[1])
        kept, places = x[:, : x.shape[1] - moved], [[0, 0], [moved, 0]]
        if fill == 0.0:
            # Of its own in TensorFlow Lite, where the fast kernels have this one alone.
            return tf.pad(kept, places)
        return tf.pad(kept, places, constant_values=tf.constant(fill, x.dtype))

    def sort_last(self, x: Array) -> Array:
        """Ascending along the last axis; as the largest of the negated values, which TensorFlow Lite has."""
        return -tf.math.top_k(-x, k=x.shape[-1]).values

    def lags(self, x: Array, n_lags: int, fill: float) -> Array:
        """Windows of each step, the oldest first."""
        return tf.stack([self.shift(x, n, fill) for n in range(n_lags - 1, -1, -1)], axis=-1)

    def take_last(self, x: Array, index: Array) -> Array:
        """Entries along the last axis, by a mask."""
        chosen = tf.equal(tf.range(x.shape[-1], dtype=tf.int64), index[..., None])
        return tf.reduce_sum(tf.where(chosen, x, tf.zeros_like(x)), axis=-1)

    def minimum(self, x: Array, y: Array) -> Array:
        """Smaller of two."""
        return tf.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        """Larger of two."""
        return tf.maximum(x, y)

    def round(self, x: Array) -> Array:
        """Nearest whole number; a half goes to the even one."""
        return tf.round(x)

    def sqrt(self, x: Array) -> Array:
        """Square root."""
        return tf.sqrt(x)

    def log(self, x: Array) -> Array:
        """Natural logarithm."""
        return tf.math.log(x)

    def exp(self, x: Array) -> Array:
        """Exponential."""
        return tf.exp(x)

    def sin(self, x: Array) -> Array:
        """Sine."""
        return tf.sin(x)

    def cos(self, x: Array) -> Array:
        """Cosine."""
        return tf.cos(x)

    def stack_last(self, parts: Sequence[Array]) -> Array:
        """Stack along a new last axis; whole columns first, which TensorFlow Lite copies many times faster than single values."""
        return tf.transpose(tf.stack(list(parts), axis=1), [0, *range(2, len(parts[0].shape) + 1), 1])

    def unstack_last(self, x: Array) -> Sequence[Array]:
        """Columns, side by side in memory first for the same reason."""
        return tf.unstack(tf.transpose(x, [0, 2, 1]), axis=1)

    def count_not_above(self, sorted_values: Sequence[int], x: Array) -> Array:
        """Count of sorted values ≤ x."""
        if not sorted_values:
            return tf.zeros_like(x, dtype=tf.int64)
        flat = tf.reshape(x, [-1])
        counts = tf.searchsorted(tf.constant(list(sorted_values), tf.int64), flat, side="right", out_type=tf.int64)
        return tf.reshape(counts, tf.shape(x))

    def look_up(self, table: Sequence[int], index: Array) -> Array:
        """Table entries."""
        return tf.gather(tf.constant(list(table), tf.int64), index)


TENSORFLOW = TensorFlowNamespace()
