"""What a kind of model is given."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any


@dataclass(frozen=True)
class HistoryParts:
    """Columns of the history of an exported graph.

    past: `[B,L]` each. known: in parts `[B,n,L]`. ends: as in `Window`; past lacks them then.
    """

    past: tuple[Tensor, ...]
    known: tuple[Tensor, ...]
    ends: Tensor | None = None


@dataclass(frozen=True)
class Window:
    """A batch of windows relative to their own level and scale.

    past `[B,L,past]`: target (0 where missing), whether it is present, whether it is filled if the features fill it,
    observed, derived. known `[B,L,known]`
    and future `[B,H,known]`. lags `[B,H,D]`: `seasonal_lags`. group `[B,G]`: what is one value a window. begun
    `[B,L]`: 1 from the first step with a target, or a filled one, on, 0 before it, which is padding. static `[B,S]`:
    category codes, where there are any. ends `[B,n,derived]`: the columns derived of the past at the steps of it that the
    model reads, `derived_every` apart, in a graph where past lacks them. In such a graph: lines `[B,L]`, the columns of past
    apart, and steps `[B,L,2 + known]`, target, whether it is present and known, joined.
    """

    past: Tensor
    known: Tensor
    future: Tensor
    lags: Tensor
    group: Tensor
    begun: Tensor
    static: Tensor | None = None
    ends: Tensor | None = None
    lines: tuple[Tensor, ...] = ()
    steps: Tensor | None = None


def side_by_side(values: Tensor) -> Tensor:
    """`[B,T,C]` as `[B,C,T]`, or back.

    TensorFlow Lite copies a column of rows value by value, and ten times faster from where its values lie side by side.
    """
    return tf.transpose(values, [0, 2, 1])
