"""The features of a window in few operations, for graphs that pay for each: TensorFlow Lite and ONNX.

Every feature is what `forecasting.features` says it is; here alone sums and extremes over windows are made another way. A
doubled reduction takes some fifteen operations for every doubling, of whole columns. A sum over a window is a product with a
band of ones, block by block; and where a model reads derived columns of the past at the last step of each segment only, a
reduction is over segments first and over few of them then.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.features.columns import LARGE, ColumnBlock
from forecasting.features.reductions import State, WindowReduction
from forecasting.features.spec import FeatureSpec
from forecasting.features.terms import RollingTerm, Term
from forecasting.features.terms.rolling import window_statistic
from forecasting.features.transform import column_blocks, derived_terms, known_columns, own_scales, past_columns
from forecasting.neural.models.window import HistoryParts
from forecasting.neural.namespace import TENSORFLOW

Tensor = Any
_BLOCK = 24
"""Steps of a block of a banded product; its cost grows with them, the number of operations falls."""
_LONGEST_WINDOW = 16 * _BLOCK
"""Steps of a window, above which doubling is cheaper than a product."""


def portable_window_features(
    history: Tensor, future: Tensor, static: Tensor | None, spec: FeatureSpec, *, derived_every: int
) -> tuple[HistoryParts, Tensor]:
    """As `forecasting.features.transform.window_features`, in TensorFlow, the columns of the history apart.

    Args:
        history: float32 `[B,L,C]`.
        future: float32 `[B,H,F]`.
        static: float32 `[B,S]`; none where the signature has none.
        spec: Feature spec.
        derived_every: Of the columns derived of the past, every so manieth step is read, counted from the last.
    """
    own = own_scales(static, spec)
    names = (spec.target, *spec.observed)
    n_past, n_known, skipped = len(names), len(spec.known), spec.history_length - spec.context
    values, line = history[:, :, :n_past], tf.concat([history[:, :, n_past:], future], axis=1)
    terms = derived_terms(spec, names)
    plain = replace(spec, derived=tuple(derived_terms(spec, spec.known)))
    columns = [column[:, skipped:] for column in past_columns(values, own, plain, TENSORFLOW)]
    past = TENSORFLOW.stack_last(columns)
    ends = None
    if terms:
        blocks = column_blocks(values, names, own, spec, TENSORFLOW, BandedColumn)
        found = _derived(terms, blocks, spec, derived_every)
        past, ends = (tf.concat([past, found], axis=2), None) if derived_every == 1 else (past, found)
    known = line[:, skipped:, n_known:]
    if n_known:
        of_known = known_columns(line[:, :, :n_known], own, spec, TENSORFLOW, BandedColumn)
        known = tf.concat([TENSORFLOW.stack_last([column[:, skipped:] for column in of_known]), known], axis=2)
    return HistoryParts(past, known[:, : spec.context], ends), known[:, spec.context :]


def _derived(terms: Sequence[Term], blocks: dict[str, ColumnBlock], spec: FeatureSpec, every: int) -> Tensor:
    """Derived columns of the past at every so manieth step `[B,L / every,D]`."""
    skipped = spec.history_length - spec.context
    if every == 1:
        return TENSORFLOW.stack_last([term.compute(blocks[term.column])[:, skipped:] for term in terms])
    ends = {name: SegmentEnds(block, spec, every) for name, block in blocks.items()}

    def at_ends(term: Term) -> Tensor:
        if isinstance(term, RollingTerm) and not term.lag and term.window % every == 0:
            return window_statistic(ends[term.column], term.statistic, term.window)
        return term.compute(blocks[term.column])[:, skipped + every - 1 :: every]

    return TENSORFLOW.stack_last([at_ends(term) for term in terms])


class BandedColumn(ColumnBlock):
    """A column whose sums over windows are products."""

    @cached_property
    @override
    def moments(self) -> WindowReduction:
        return BandedMoments(super().moments, self.filled, self.present)


class BandedMoments(WindowReduction):
    """Count and mean by banded products; squared deviations, which products would blur, by doubling."""

    def __init__(self, doubled: WindowReduction, filled: Tensor, present: Tensor) -> None:
        """Take values, 0 where missing, and their presence `[B,T]`."""
        self._doubled, self._first = doubled, (filled, present)

    @override
    def over(self, window: int, *, stride: int = 1) -> State:
        if stride != 1 or window == 1 or window > _LONGEST_WINDOW:
            return self._doubled.over(window, stride=stride)
        total, count = (_window_sums(part, window) for part in self._first)
        return count, total / tf.maximum(count, 1.0), self._doubled.over(window)[2]


def _window_sums(values: Tensor, window: int) -> Tensor:
    """Sums over the window that ends at each step of `[B,T]`."""
    if window == _BLOCK or window % _BLOCK:
        return _banded_sums(values, window)
    of_blocks = (_banded_sums(values, _BLOCK),)
    summed = WindowReduction(of_blocks, lambda late, early, _: (late[0] + early[0],), (0.0,), TENSORFLOW)
    return summed.over(window // _BLOCK, stride=_BLOCK)[0]


def _banded_sums(values: Tensor, window: int) -> Tensor:
    n_steps = values.shape[1]
    n_blocks, n_before = -(-n_steps // _BLOCK), -(-(window - 1) // _BLOCK)
    first = (n_blocks + n_before) * _BLOCK - n_steps
    blocks = tf.reshape(tf.pad(values, [[0, 0], [first, 0]]), [-1, n_blocks + n_before, _BLOCK])
    seen = tf.concat([blocks[:, i : i + n_blocks] for i in range(n_before + 1)], axis=2)
    back = n_before * _BLOCK + np.arange(_BLOCK)[None] - np.arange((n_before + 1) * _BLOCK)[:, None]
    band = ((back >= 0) & (back < window)).astype(np.float32)
    sums = tf.matmul(tf.reshape(seen, [-1, len(band)]), band)
    return tf.reshape(sums, [-1, n_blocks * _BLOCK])[:, n_blocks * _BLOCK - n_steps :]


class SegmentEnds(ColumnBlock):
    """A column whose statistics are those of windows of whole segments, at the last step of each segment of the context `[B,n]`."""

    def __init__(self, block: ColumnBlock, spec: FeatureSpec, every: int) -> None:
        """Take what was made of a column already."""
        super().__init__(block.raw, block.location, block.scale, block.xp, logarithmic=block.logarithmic)
        self.__dict__.update(missing=block.missing, scaled=block.scaled, filled=block.filled, present=block.present)
        self._every, self._n_ends = every, spec.context // every

    @cached_property
    @override
    def moments(self) -> WindowReduction:
        return SegmentReduction(self._moments)

    @cached_property
    @override
    def minima(self) -> WindowReduction:
        lowest = tf.reduce_min(self._segments(tf.where(self.missing, LARGE, self.scaled)), axis=2)
        return SegmentReduction(lambda window: (tf.reduce_min(self._last(lowest, window), axis=2),))

    @cached_property
    @override
    def maxima(self) -> WindowReduction:
        highest = tf.reduce_max(self._segments(tf.where(self.missing, -LARGE, self.scaled)), axis=2)
        return SegmentReduction(lambda window: (tf.reduce_max(self._last(highest, window), axis=2),))

    @cached_property
    def _of_segments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, mean and squared deviations of each segment `[B,m]`."""
        present, filled = self._segments(self.present), self._segments(self.filled)
        count = tf.reduce_sum(present, axis=2)
        mean = tf.reduce_sum(filled, axis=2) / tf.maximum(count, 1.0)
        return count, mean, tf.reduce_sum(tf.square(filled - mean[:, :, None]) * present, axis=2)

    def _moments(self, window: int) -> State:
        counts, means, squares = (self._last(part, window) for part in self._of_segments)
        count = tf.reduce_sum(counts, axis=2)
        mean = tf.reduce_sum(means * counts, axis=2) / tf.maximum(count, 1.0)
        between = tf.square(means - mean[:, :, None]) * counts
        return count, mean, tf.reduce_sum(squares + between, axis=2)

    def _segments(self, values: Tensor) -> Tensor:
        n_segments = values.shape[1] // self._every
        return tf.reshape(values[:, values.shape[1] - n_segments * self._every :], [-1, n_segments, self._every])

    def _last(self, values: Tensor, window: int) -> Tensor:
        """Of values of segments `[B,m]` those of each window `[B,n,segments]`."""
        n = window // self._every
        first = values.shape[1] - self._n_ends - n + 1
        return tf.gather(values, first + np.arange(self._n_ends)[:, None] + np.arange(n)[None], axis=1)


class SegmentReduction(WindowReduction):
    """A reduction that is asked by window alone."""

    def __init__(self, over: Any) -> None:
        """Take a function from the steps of a window to its state."""
        self._over = over

    @override
    def over(self, window: int, *, stride: int = 1) -> State:
        if stride != 1:
            raise ValueError(f"windows of segments have steps side by side, found {stride} apart")
        found: State = self._over(window)
        return found
