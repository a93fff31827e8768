"""The features of a window in few operations, for graphs that pay for each: TensorFlow Lite and ONNX.

Every feature is what `forecasting.features` says it is; here alone sums and extremes over windows are made another way. A
merge of count, mean and squared deviations takes some fifteen operations for every doubling of a window, a sum three, for
all columns together; and where a model reads derived columns of the past at the last step of each segment only, a reduction
is over segments first and over few of them then.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
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
from forecasting.features.transform import (
    OwnScales,
    column_blocks,
    derived_terms,
    known_columns,
    own_scales,
    past_columns,
)
from forecasting.neural.models.window import HistoryParts, side_by_side
from forecasting.neural.namespace import TENSORFLOW

Tensor = Any


def portable_window_features(
    history: Tensor,
    future: Tensor,
    static: Tensor | None,
    spec: FeatureSpec,
    *,
    derived_every: int,
    served: FeatureSpec | None = None,
) -> tuple[HistoryParts, Tensor]:
    """As `forecasting.features.transform.window_features`, in TensorFlow, the columns of the history apart.

    Args:
        history: float32 `[B,L,C]`, as it is served.
        future: float32 `[B,H,F]`.
        static: float32 `[B,S]`; none where the signature has none.
        spec: Feature spec.
        derived_every: Of the columns derived of the past, every so manieth step is read, counted from the last.
        served: The spec of the signature, of which the other is a reduced one; none: it is the same.
    """
    served = served or spec
    own = own_scales(static, spec)
    names, given = (spec.target, *spec.observed), (served.target, *served.observed)
    n_past, skipped = len(given), spec.history_length - spec.context
    if spec.history_length < served.history_length:
        history = history[:, served.history_length - spec.history_length :]
    # Whole columns side by side from the first operation to the network: rows are copied value by value.
    columns, ahead = side_by_side(history), side_by_side(future)
    # What is given and not read, conversion leaves out.
    lines = dict(zip(given, tf.unstack(columns[:, :n_past], axis=1), strict=True))
    values = [lines[name] for name in names]
    terms = derived_terms(spec, names)
    plain = replace(spec, derived=tuple(derived_terms(spec, spec.known)))
    past = [column[:, skipped:] for column in past_columns(values, own, plain, TENSORFLOW)]
    ends = None
    if terms:
        found = in_one_sum(
            lambda block: _derived(
                terms, column_blocks(values, names, own, spec, TENSORFLOW, block), spec, derived_every
            )
        )
        past, ends = ([*past, *found], None) if derived_every == 1 else (past, TENSORFLOW.stack_last(found))
    n_values = n_past + len(spec.known)
    of_known, of_ahead = _known_parts(columns[:, n_past:n_values], ahead[:, : len(spec.known)], own, spec)
    if spec.calendar.names:
        of_known.append(columns[:, n_values:, skipped:])
        of_ahead.append(ahead[:, len(spec.known) :])
    following = side_by_side(tf.concat(of_ahead, axis=1)) if of_ahead else future
    return HistoryParts(tuple(past), tuple(of_known), ends), following


def _known_parts(
    history: Tensor, future: Tensor, own: OwnScales, spec: FeatureSpec
) -> tuple[list[Tensor], list[Tensor]]:
    """Columns of known covariates in the context `[B,n,L]` and in the horizon `[B,n,H]`; none where there are none."""
    if not spec.known:
        return [], []
    # What comes before these steps only derived columns of the past look back to.
    n_before = max((term.reach for term in derived_terms(spec, spec.known)), default=0)
    read = history[:, :, spec.history_length - spec.context - n_before :]
    lines = tf.unstack(tf.concat([read, future], axis=2), axis=1)
    made = tf.stack(in_one_sum(lambda block: known_columns(lines, own, spec, TENSORFLOW, block)), axis=1)
    present = n_before + spec.context
    return [made[:, :, n_before:present]], [made[:, :, present:]]


def _derived(terms: Sequence[Term], blocks: dict[str, ColumnBlock], spec: FeatureSpec, every: int) -> list[Tensor]:
    """Derived columns of the past at every so manieth step `[B,L / every]`."""
    skipped = spec.history_length - spec.context
    if every == 1:
        return [term.compute(blocks[term.column])[:, skipped:] for term in terms]
    ends = {name: SegmentEnds(block, spec, every) for name, block in blocks.items()}

    def at_ends(term: Term) -> Tensor:
        if isinstance(term, RollingTerm) and not term.lag and term.window % every == 0:
            return window_statistic(ends[term.column], term.statistic, term.window)
        return term.compute(blocks[term.column])[:, skipped + every - 1 :: every]

    return [at_ends(term) for term in terms]


def in_one_sum(columns: Callable[[type[ColumnBlock]], list[Tensor]]) -> list[Tensor]:
    """Columns that a function makes of blocks of a type, the sums over windows of all of them made together.

    The function is asked twice: first for what is to be summed, then with the sums. What it makes the first time nobody
    reads, and conversion leaves it out.
    """
    sums = WindowSums()
    block = type("SharedColumn", (SummedColumn,), {"sums": sums})
    columns(block)
    sums.make()
    return columns(block)


class WindowSums:
    """Sums over windows that are asked for one after another and made together, in a fraction of the operations."""

    def __init__(self) -> None:
        """Begin to note what is asked for."""
        self._asked: list[tuple[Tensor, int]] = []
        self._made: Iterator[Tensor] | None = None

    def over(self, values: Tensor, window: int) -> Tensor:
        """Sums over the window that ends at each step of values `[B,T]`; zeros while it is noted what is asked for."""
        if self._made is not None:
            return next(self._made)
        self._asked.append((values, window))
        return tf.zeros_like(values)

    def make(self) -> None:
        """Make all that was asked for; from now on `over` gives it in the same order."""
        columns = {values.ref(): values for values, _ in self._asked}
        places = {reference: i for i, reference in enumerate(columns)}
        parts = {}
        if columns:
            sums = _window_sums(tf.concat(list(columns.values()), axis=0), {window for _, window in self._asked})
            parts = {window: tf.split(found, len(columns), axis=0) for window, found in sums.items()}
        self._made = iter([parts[window][places[values.ref()]] for values, window in self._asked])


def _window_sums(values: Tensor, windows: Collection[int]) -> dict[int, Tensor]:
    """Sums over the windows that end at each step of `[B,T]`; those of longer windows are made of those of shorter ones."""
    found = {1: values}
    reductions: dict[int, WindowReduction] = {}
    for window in sorted(windows):
        step = max(shorter for shorter in found if window % shorter == 0)
        if step not in reductions:
            reductions[step] = WindowReduction((found[step],), _added, (0.0,), TENSORFLOW)
        found[window] = reductions[step].over(window // step, stride=step)[0]
    return found


def _added(late: State, early: State, _: int) -> State:
    return (late[0] + early[0],)


class SummedColumn(ColumnBlock):
    """A column whose sums over windows are made with those of others."""

    sums: WindowSums

    @cached_property
    @override
    def moments(self) -> WindowReduction:
        return SummedMoments(super().moments, self.filled, self.present, self.sums)


class SummedMoments(WindowReduction):
    """Count and mean by sums; squared deviations, which sums of squares would blur, by merging."""

    def __init__(self, merged: WindowReduction, filled: Tensor, present: Tensor, sums: WindowSums) -> None:
        """Take values, 0 where missing, their presence `[B,T]`, and who sums them."""
        self._merged, self._first, self._sums = merged, (filled, present), sums

    @override
    def over(self, window: int, *, stride: int = 1) -> State:
        if stride != 1 or window == 1:
            return self._merged.over(window, stride=stride)
        total, count = (self._sums.over(part, window) for part in self._first)
        return count, total / tf.maximum(count, 1.0), self._merged.over(window)[2]


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
        return SegmentReduction(lambda window: (self._over_last(lowest, window, tf.reduce_min),))

    @cached_property
    @override
    def maxima(self) -> WindowReduction:
        highest = tf.reduce_max(self._segments(tf.where(self.missing, -LARGE, self.scaled)), axis=2)
        return SegmentReduction(lambda window: (self._over_last(highest, window, tf.reduce_max),))

    @cached_property
    def _of_segments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, mean and squared deviations of each segment `[B,m]`."""
        present, filled = self._segments(self.present), self._segments(self.filled)
        count = tf.reduce_sum(present, axis=2)
        mean = tf.reduce_sum(filled, axis=2) / tf.maximum(count, 1.0)
        return count, mean, tf.reduce_sum(tf.square(filled - mean[:, :, None]) * present, axis=2)

    def _moments(self, window: int) -> State:
        if window == self._every:
            return tuple(self._ends(part) for part in self._of_segments)
        counts, means, squares = (self._last(part, window) for part in self._of_segments)
        count = tf.reduce_sum(counts, axis=2)
        mean = tf.reduce_sum(means * counts, axis=2) / tf.maximum(count, 1.0)
        between = tf.square(means - mean[:, :, None]) * counts
        return count, mean, tf.reduce_sum(squares + between, axis=2)

    def _segments(self, values: Tensor) -> Tensor:
        n_segments = values.shape[1] // self._every
        return tf.reshape(values[:, values.shape[1] - n_segments * self._every :], [-1, n_segments, self._every])

    def _over_last(self, values: Tensor, window: int, reduce: Callable[..., Tensor]) -> Tensor:
        """A reduction over the segments of each window `[B,n]`."""
        return self._ends(values) if window == self._every else reduce(self._last(values, window), axis=2)

    def _ends(self, values: Tensor) -> Tensor:
        """Of values of segments `[B,m]` those of the context `[B,n]`."""
        return values[:, values.shape[1] - self._n_ends :]

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
