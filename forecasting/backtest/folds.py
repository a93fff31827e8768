"""Folds: the periods of a rolling-origin backtest, and what the model of each was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.errors import DataError
from forecasting.schema import SplitSpec


@dataclass(frozen=True)
class FoldSpec:
    """One fold, times in UTC epoch seconds.

    number: from 1, in order of time. start: first step that is forecast. end: exclusive; no forecast reaches past it.
    trained_at: cutoff of the model that is asked: it knows nothing of that time and later.
    """

    number: int
    start: int
    end: int
    trained_at: int


@dataclass(frozen=True)
class OriginsSpec:
    """Origins of all folds: UTC epoch seconds, ascending `[O]`, and the number of the fold of each `[O]`."""

    origins: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]


def plan_folds(
    split: SplitSpec, *, n_folds: int, length_s: int | None = None, refit_every: int | None = None
) -> tuple[FoldSpec, ...]:
    """Folds of equal length, one after another, the last of them up to the cutoff.

    Args:
        split: Cuts of the table.
        n_folds: How many.
        length_s: Length of each; none: that of the test period, which is then the last fold.
        refit_every: Folds that share a model, trained before the first of them; none: all do.

    Returns:
        Folds in order of time.

    Raises:
        ValueError: A number is below 1.
    """
    length = split.cutoff - split.test_start if length_s is None else length_s
    shared = n_folds if refit_every is None else refit_every
    if min(n_folds, shared, length) < 1:
        raise ValueError(f"folds, their length and refit_every must be at least 1, found {n_folds}, {length}, {shared}")
    starts = [split.cutoff - (n_folds - i) * length for i in range(n_folds)]
    return tuple(
        FoldSpec(i + 1, start, start + length, trained_at=starts[i // shared * shared])
        for i, start in enumerate(starts)
    )


def rolling_split(split: SplitSpec, folds: Sequence[FoldSpec]) -> SplitSpec:
    """The split of a table as its first fold sees it: train and validation before it, test from it up to the cutoff."""
    earlier = split.test_start - folds[0].start
    return replace(split, train_end=split.train_end - earlier, validation_end=split.validation_end - earlier)


def fold_origins(folds: Sequence[FoldSpec], step_s: int, *, horizon: int, stride: int) -> OriginsSpec:
    """Origins of each fold: every `stride` steps from its start, as long as the horizon ends inside it.

    Args:
        folds: In order of time.
        step_s: Step of the series in seconds.
        horizon: H, steps.
        stride: Steps between origins.

    Raises:
        DataError: A fold holds no horizon.
    """
    parts = [np.arange(fold.start, fold.end - horizon * step_s + 1, stride * step_s, dtype=np.int64) for fold in folds]
    if empty := [fold for fold, part in zip(folds, parts, strict=True) if not len(part)]:
        n_steps = (empty[0].end - empty[0].start) // step_s
        raise DataError(
            f"each fold must hold at least one horizon of {horizon} steps, they have {n_steps}; lengthen "
            "backtest.fold_length, or split.test where it is not set"
        )
    numbers = np.repeat([fold.number for fold in folds], [len(part) for part in parts]).astype(np.int64)
    return OriginsSpec(np.concatenate(parts), numbers)
