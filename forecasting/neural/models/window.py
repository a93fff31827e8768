"""What a kind of model is given."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from forecasting.neural.models.recurrence import is_portable

Tensor = Any


@dataclass(frozen=True)
class HistoryParts:
    """Columns of the history: past `[B,L,past]`, known `[B,L,known]`, and ends as in `Window`, which past then lacks."""

    past: Tensor
    known: Tensor
    ends: Tensor | None = None


@dataclass(frozen=True)
class Window:
    """A batch of windows relative to their own level and scale.

    past `[B,L,past]`: target (0 where missing), whether it is present, whether it is filled if the features fill it,
    observed, derived. known `[B,L,known]`
    and future `[B,H,known]`. lags `[B,H,D]`: `seasonal_lags`. group `[B,G]`: what is one value a window. begun
    `[B,L]`: 1 from the first step with a target, or a filled one, on, 0 before it, which is padding. static `[B,S]`:
    category codes, where there are any. ends `[B,n,derived]`: the columns derived of the past at the steps of it that the
    model reads, `derived_every` apart, in a graph where past lacks them.
    """

    past: Tensor
    known: Tensor
    future: Tensor
    lags: Tensor
    group: Tensor
    begun: Tensor
    static: Tensor | None = None
    ends: Tensor | None = None


def first_columns(values: Tensor, n: int) -> list[Tensor]:
    """The first columns `[B,T]` of `[B,T,C]`.

    TensorFlow Lite copies a column value by value, and ten times faster from where its values lie side by side.
    """
    if not is_portable():
        return [values[:, :, i] for i in range(n)]
    return tf.unstack(tf.transpose(values[:, :, :n], [0, 2, 1]), axis=1)
