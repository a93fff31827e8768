"""Exact quantiles of many values in two passes, from counts that any number of workers can add up.

A float32 is mapped to a 32-bit integer of the same order. The first pass counts the upper 16 bits, the
second the lower 16 bits of those upper halves in which a wanted rank lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HALF = 1 << 16
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankSpec:
    """A rank among the values that share their upper 16 bits."""

    upper: int
    rank: int


def ordered_keys(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """32-bit integers in the order of the values as float32; missing values are left out."""
    bits = values[~np.isnan(values)].astype(np.float32).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(1 << 31))


def key_values(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """The values of ordered keys; the inverse of `ordered_keys`."""
    positive = keys >> np.uint32(31) == 1
    bits = np.where(positive, keys & np.uint32((1 << 31) - 1), ~keys)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def upper_counts(keys: npt.NDArray[np.uint32]) -> Counts:
    """How many keys have each upper half `[65536]`."""
    return np.bincount(keys >> np.uint32(16), minlength=HALF)


def lower_counts(keys: npt.NDArray[np.uint32], uppers: Sequence[int]) -> Counts:
    """How many keys have each lower half, for each of some upper halves `[len(uppers),65536]`."""
    halves = keys >> np.uint32(16)
    lower = keys & np.uint32(HALF - 1)
    return np.stack([np.bincount(lower[halves == upper], minlength=HALF) for upper in uppers])


def place_rank(counts: Counts, rank: int) -> RankSpec:
    """In which upper half the value of a rank (from 0) lies, and its rank there."""
    ends = np.cumsum(counts)
    upper = int(np.searchsorted(ends, rank, side="right"))
    return RankSpec(upper, rank - int(ends[upper] - counts[upper]))


def value_at(upper: int, counts: Counts, rank: int) -> float:
    """The value of a rank among those with an upper half, from counts of their lower halves."""
    lower = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
    return float(key_values(np.asarray([(upper << 16) | lower], dtype=np.uint32))[0])
