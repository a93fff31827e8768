"""Lengths of histories in buckets, so that short histories run fewer steps through a recurrence.

Windows of one length make a batch. What lies before the history of a batch is padding for all of its windows,
which a network gives no weight, so a bucket changes the time that a step takes and not what it learns.
"""

import numpy as np
import numpy.typing as npt

_POOL_BATCHES = 64
"""Batches within which windows are sorted by length: enough to fill batches of one length, and still shuffled."""


def history_lengths(age: npt.NDArray[np.int64], *, context: int, segment: int, n_buckets: int) -> npt.NDArray[np.int64]:
    """Steps of history that each window is given.

    Args:
        age: Steps of its series before each window `[W]`.
        context: Longest history, a multiple of the segment.
        segment: Every length is a multiple of it.
        n_buckets: Number of lengths at most, evenly apart; 1: all windows have the context.

    Returns:
        `[W]`, the shortest of the lengths that holds the whole age, and the context for what is older.
    """
    n_segments = context // segment
    lengths = np.unique(segment * -(-n_segments * np.arange(1, n_buckets + 1) // n_buckets))
    return lengths[np.minimum(np.searchsorted(lengths, age), len(lengths) - 1)]


def batches_of_like_length(
    order: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    *,
    batch_size: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Change the order of an epoch so that the windows of a batch have like lengths.

    Args:
        order: Shuffled windows, a whole number of batches.
        lengths: Of each window `[W]`.
        batch_size: Windows in a batch.
        rng: Shuffles the batches.

    Returns:
        The same windows: sorted by length within pools of neighbouring batches, and the batches shuffled.
    """
    pool = _POOL_BATCHES * batch_size
    pools = [order[first : first + pool] for first in range(0, len(order), pool)]
    sorted_pools = [one[np.argsort(lengths[one], kind="stable")] for one in pools]
    batches = np.concatenate(sorted_pools).reshape(-1, batch_size)
    return batches[rng.permutation(len(batches))].reshape(-1)
