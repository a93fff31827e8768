"""Make one row of several with one series and time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.config.validation import DuplicatePolicy


@dataclass(frozen=True)
class MergeReport:
    """values `[R, n columns]`: one row a time stamp. differs `[rows]`: rows of a group whose values are not all equal."""

    values: npt.NDArray[np.float64]
    differs: npt.NDArray[np.bool_]


def merge_duplicates(
    values: npt.NDArray[np.float64], repeats: npt.NDArray[np.bool_], policy: DuplicatePolicy
) -> MergeReport:
    """Merge rows that repeat the one before them.

    Args:
        values: `[rows, n columns]`, sorted, in the order of the source within a group.
        repeats: `[rows]`, True where a row has series and time of the one before it.
        policy: refuse and first keep the first row of a group, last the last one, mean the mean of the
            values that there are. A group of equal rows is left as it is.
    """
    starts = np.flatnonzero(~repeats)
    if not repeats.any():
        return MergeReport(values, np.zeros(len(values), dtype=np.bool_))
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    changes = repeats & ~np.r_[True, same.all(axis=1)]
    differing = np.add.reduceat(changes.astype(np.int64), starts) > 0
    differs = np.repeat(differing, np.diff(np.r_[starts, len(values)]))
    merged = values[starts]
    match policy:
        case "last":
            merged = values[np.r_[starts[1:], len(values)] - 1]
        case "mean":
            merged = np.where(differing[:, None], _group_means(values, starts), merged)
        case "refuse" | "first":
            pass
    return MergeReport(merged, differs)


def _group_means(values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    filled = ~np.isnan(values)
    sums = np.add.reduceat(np.where(filled, values, 0.0), starts, axis=0)
    counts = np.add.reduceat(filled.astype(np.int64), starts, axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
