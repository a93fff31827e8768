"""The array operations that features may use: the subset that NumPy and TensorFlow share.

A feature written against this protocol runs in a Beam worker (NumPy) and in the exported graph
(TensorFlow), and converts to TensorFlow Lite built-in operations.
"""

from collections.abc import Sequence
from typing import Any, Protocol

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

    def round(self, x: Array) -> Array:
        """Nearest whole number; a half goes to the even one."""

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

    def unstack_last(self, x: Array) -> Sequence[Array]:
        """The columns `[B,T]` of `x [B,T,C]`."""

    def stack_last(self, parts: Sequence[Array]) -> Array:
        """Stack along a new last axis."""

    def count_not_above(self, sorted_values: Sequence[int], x: Array) -> Array:
        """How many of the sorted int64 values are ≤ x, element by element (int64)."""

    def look_up(self, table: Sequence[int], index: Array) -> Array:
        """int64 table entry at each index."""
