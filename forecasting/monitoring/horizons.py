"""Buckets of the horizon: a live error is of an hour ahead, or of a week, and never of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class BucketSpec:
    """Buckets of H steps. names: such as h1 and h2_6, the first step being 1. of_step `[H]`: place of each step's name."""

    names: tuple[str, ...]
    of_step: npt.NDArray[np.int64]


def horizon_buckets(horizon: int, last_steps: Sequence[int]) -> BucketSpec:
    """Cut a horizon behind some steps; what is behind the last of them is a bucket of its own.

    Args:
        horizon: H.
        last_steps: Last step of each bucket, ascending, the first step being 1; those from the horizon on are left out.
    """
    ends = [*(step for step in last_steps if step < horizon), horizon]
    starts = [1, *(end + 1 for end in ends[:-1])]
    names = tuple(f"h{first}" if first == end else f"h{first}_{end}" for first, end in zip(starts, ends, strict=True))
    of_step = np.searchsorted(np.asarray(ends), np.arange(1, horizon + 1))
    return BucketSpec(names, of_step.astype(np.int64))


def naive_lags(horizon: int, season: int) -> npt.NDArray[np.int64]:
    """Steps from each step back to the one that the seasonal naive repeats, the same phase of the last season before the origin `[H]`."""
    found: npt.NDArray[np.int64] = -(-np.arange(1, horizon + 1) // season) * season
    return found
