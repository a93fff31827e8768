"""Rolling statistics over the last steps, written once for NumPy and TensorFlow.

Windows are reduced by doubling: a reduction over 2k steps is the one over k steps combined with
itself k steps earlier. That needs about log2(window) additions instead of `window`, keeps float32
sums as exact as pairwise summation, and uses only slices, joins and element-wise operations, which
TensorFlow Lite has.
"""

from collections.abc import Callable, Sequence

from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.spec import RollingSpec

_LARGE = 3.0e38
"""Stands for infinity: beyond every value, yet finite in float32."""


def rolling_columns(scaled: Array, specs: Sequence[RollingSpec], columns: Sequence[str], xp: ArrayNamespace) -> Array:
    """Rolling statistics of scaled columns.

    Args:
        scaled: float32 `[B,T,C]`, NaN where missing, values near unit scale.
        specs: Statistics in the order of the result.
        columns: Name of each of the C columns.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T,len(specs)]`; 0 where a window has no value. A window reaches over the present
        step and the `window - 1` before it; before the first step there is nothing.
    """
    present = xp.where(xp.is_nan(scaled), xp.cast(0.0, "float32"), xp.cast(1.0, "float32"))
    parts = []
    for spec in specs:
        i = list(columns).index(spec.column)
        parts.append(_statistic(scaled[:, :, i : i + 1], present[:, :, i : i + 1], spec, xp))
    return xp.concat(parts, axis=2)


def _statistic(column: Array, present: Array, spec: RollingSpec, xp: ArrayNamespace) -> Array:
    count = _reduce(present, spec.window, _add, 0.0, xp)
    empty = count < 0.5
    match spec.statistic:
        case "mean":
            result = _mean(column, present, count, spec.window, xp)
        case "std":
            mean = _mean(column, present, count, spec.window, xp)
            square = _mean(column * column, present, count, spec.window, xp)
            result = xp.sqrt(xp.maximum(square - mean * mean, xp.cast(0.0, "float32")))
        case "min":
            filled = xp.where(present < 0.5, xp.cast(_LARGE, "float32"), column)
            result = _reduce(filled, spec.window, xp.minimum, _LARGE, xp)
        case "max":
            filled = xp.where(present < 0.5, xp.cast(-_LARGE, "float32"), column)
            result = _reduce(filled, spec.window, xp.maximum, -_LARGE, xp)
        case _:
            raise ValueError(f"no rolling statistic is called {spec.statistic!r}")
    return xp.where(empty, xp.cast(0.0, "float32"), result)


def _mean(column: Array, present: Array, count: Array, window: int, xp: ArrayNamespace) -> Array:
    filled = xp.where(present < 0.5, xp.cast(0.0, "float32"), column)
    return _reduce(filled, window, _add, 0.0, xp) / xp.maximum(count, xp.cast(1.0, "float32"))


def _add(x: Array, y: Array) -> Array:
    return x + y


def _reduce(
    x: Array, window: int, combine: Callable[[Array, Array], Array], identity: float, xp: ArrayNamespace
) -> Array:
    """Combine each step with the `window - 1` before it, along axis 1."""
    total: Array | None = None
    covered, size, rest, power = 0, 1, window, x
    while True:
        if rest & 1:
            piece = _shift(power, covered, identity, xp)
            total = piece if total is None else combine(total, piece)
            covered += size
        rest >>= 1
        if not rest:
            return total
        power = combine(power, _shift(power, size, identity, xp))
        size *= 2


def _shift(x: Array, n_steps: int, identity: float, xp: ArrayNamespace) -> Array:
    """Move values to later steps; the first steps get the identity."""
    if n_steps == 0:
        return x
    length = x.shape[1]
    if n_steps >= length:
        return xp.full_rows(x, length, identity)
    return xp.concat([xp.full_rows(x, n_steps, identity), x[:, :-n_steps]], axis=1)
