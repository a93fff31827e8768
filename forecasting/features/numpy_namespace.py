"""`forecasting.features.namespace.ArrayNamespace` on NumPy; apart from it, so that settings need no NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forecasting.features.namespace import Array


class NumpyNamespace:
    """Features in arrays. See the protocol for what each operation means."""

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

    def round(self, x: Array) -> Array:
        """Nearest whole number; a half goes to the even one."""
        return np.rint(x)

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

    def unstack_last(self, x: Array) -> Sequence[Array]:
        """Views of the columns."""
        return [x[..., i] for i in range(x.shape[-1])]

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
