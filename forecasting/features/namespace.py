"""The array operations that features may use: the subset that NumPy and TensorFlow share.

A feature written against this protocol runs in a Beam worker (NumPy) and in the exported graph
(TensorFlow), and converts to TensorFlow Lite built-in operations.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

Array = Any
"""A NumPy array or a TensorFlow tensor."""


class ArrayNamespace(Protocol):
    """Operations with one meaning in both libraries; arrays are at most rank 3."""

    def constant(self, values: Any, dtype: str) -> Array:
        """Array of literal values; dtype is float32 or int64."""

    def cast(self, x: Array, dtype: str) -> Array:
        """Convert to float32 or int64 (towards zero)."""

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """X where the condition holds, else y; shapes broadcast."""

    def is_nan(self, x: Array) -> Array:
        """True where not a number."""

    def shift(self, x: Array, n_steps: int, fill: float) -> Array:
        """Move `x [B,T]` to later steps along T; the first steps get the fill."""

    def sort_last(self, x: Array) -> Array:
        """Ascending along the last axis."""

    def lags(self, x: Array, n_lags: int, fill: float) -> Array:
        """`[B,T,n_lags]`: each step of `x [B,T]` and the `n_lags - 1` before it, the fill before the first."""

    def take_last(self, x: Array, index: Array) -> Array:
        """`[...]`: the entry of `x [...,n]` at an int64 index `[...]`."""

    def minimum(self, x: Array, y: Array) -> Array:
        """Smaller of two, element by element."""

    def maximum(self, x: Array, y: Array) -> Array:
        """Larger of two, element by element."""

    def sqrt(self, x: Array) -> Array:
        """Square root."""

    def log(self, x: Array) -> Array:
        """Natural logarithm."""

    def exp(self, x: Array) -> Array:
        """Exponential."""

    def sin(self, x: Array) -> Array:
        """Sine of radians."""

    def cos(self, x: Array) -> Array:
        """Cosine of radians."""

    def stack_last(self, parts: Sequence[Array]) -> Array:
        """Stack along a new last axis."""

    def count_not_above(self, sorted_values: Sequence[int], x: Array) -> Array:
        """How many of the sorted int64 values are ≤ x, element by element (int64)."""

    def look_up(self, table: Sequence[int], index: Array) -> Array:
        """int64 table entry at each index."""


class NumpyNamespace:
    """`ArrayNamespace` on NumPy."""

    def constant(self, values: Any, dtype: str) -> Array:
        """Array of literal values."""
        return np.asarray(values, dtype=dtype)

    def cast(self, x: Array, dtype: str) -> Array:
        """Convert the type."""
        return np.asarray(x).astype(dtype)

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return np.concatenate(list(parts), axis=axis)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Choose element by element."""
        return np.where(condition, x, y)

    def is_nan(self, x: Array) -> Array:
        """True where not a number."""
        return np.isnan(x)

    def shift(self, x: Array, n_steps: int, fill: float) -> Array:
        """Move to later steps."""
        shifted = np.empty_like(x)
        shifted[:, :n_steps] = fill
        shifted[:, n_steps:] = x[:, : max(0, x.shape[1] - n_steps)]
        return shifted

    def sort_last(self, x: Array) -> Array:
        """Ascending along the last axis."""
        return np.sort(x, axis=-1)

    def lags(self, x: Array, n_lags: int, fill: float) -> Array:
        """Windows of each step."""
        before = np.full((x.shape[0], n_lags - 1), fill, dtype=x.dtype)
        return np.lib.stride_tricks.sliding_window_view(np.concatenate([before, x], axis=1), n_lags, axis=1)

    def take_last(self, x: Array, index: Array) -> Array:
        """Entries along the last axis."""
        return np.take_along_axis(x, index[..., None], axis=-1)[..., 0]

    def minimum(self, x: Array, y: Array) -> Array:
        """Smaller of two."""
        return np.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        """Larger of two."""
        return np.maximum(x, y)

    def sqrt(self, x: Array) -> Array:
        """Square root."""
        return np.sqrt(x)

    def log(self, x: Array) -> Array:
        """Natural logarithm."""
        return np.log(x)

    def exp(self, x: Array) -> Array:
        """Exponential."""
        return np.exp(x)

    def sin(self, x: Array) -> Array:
        """Sine."""
        return np.sin(x)

    def cos(self, x: Array) -> Array:
        """Cosine."""
        return np.cos(x)

    def stack_last(self, parts: Sequence[Array]) -> Array:
        """Stack along a new last axis."""
        return np.stack(list(parts), axis=-1)

    def count_not_above(self, sorted_values: Sequence[int], x: Array) -> Array:
        """Count of sorted values ≤ x."""
        return np.searchsorted(np.asarray(sorted_values, dtype=np.int64), x, side="right")

    def look_up(self, table: Sequence[int], index: Array) -> Array:
        """Table entries."""
        return np.asarray(table, dtype=np.int64)[index]


NUMPY = NumpyNamespace()
