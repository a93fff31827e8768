"""Blocks: a table parted into stretches of time, each with a training of its own and a fold at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.backtest.folds import FoldSpec
from forecasting.errors import DataError
from forecasting.formats import as_time

LEAST_PARTS = 4
"""How many times its fold a block must hold at least: two of training, one that stops it, and the fold."""


@dataclass(frozen=True)
class BlockSpec:
    """A block, UTC epoch seconds: what its fit learns begins at `train_from` and ends before the fold.

    The fold is the last part of the block; the next block begins where it ends.
    """

    train_from: int
    fold: FoldSpec


def plan_blocks(
    begin: int, end: int, *, n_blocks: int, length_s: int, embargo_s: int, step_s: int
) -> tuple[BlockSpec, ...]:
    """Part a time in blocks of one length, counted back from its end, with a fold at the end of each.

    Time is not shuffled, and no fit learns from what comes after its fold, as in use. It does not learn from what lies before its
    block either, so that every fold is judged by a training of the same length on a stretch of its own; the first
    `embargo_s` of a block are left out, for windows there reach back into the fold of the block before.

    Args:
        begin: Start of the table, UTC epoch seconds.
        end: End of the last block.
        n_blocks: How many.
        length_s: Length of each fold.
        embargo_s: What is left out at the start of every block but the first.
        step_s: Step of the series.

    Returns:
        Blocks in order of time.

    Raises:
        DataError: A block is too short to be trained in.
    """
    block_s = (end - begin) // n_blocks // step_s * step_s
    if block_s - embargo_s < LEAST_PARTS * length_s:
        raise DataError(
            f"each of {n_blocks} blocks from {as_time(begin)} to {as_time(end)} must hold {LEAST_PARTS} times its fold of "
            f"{length_s // step_s} steps behind an embargo of {embargo_s // step_s}, and has {block_s // step_s}; shorten tuning.fold_length, or "
            "take fewer tuning.folds"
        )
    ends = [end - (n_blocks - 1 - i) * block_s for i in range(n_blocks)]
    return tuple(
        BlockSpec(
            begin if i == 0 else ends[i - 1] + embargo_s, FoldSpec(i + 1, at - length_s, at, trained_at=at - length_s)
        )
        for i, at in enumerate(ends)
    )


def block_of(blocks: Sequence[BlockSpec], cutoff: int) -> BlockSpec:
    """The block whose fit has a cutoff."""
    return next(block for block in blocks if block.fold.trained_at == cutoff)
