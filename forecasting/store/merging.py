"""Merge values with since when they are known into those that there are. Pure: arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.observed_history import NOT_OBSERVED

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CellsRecord:
    """R values: the cell each is of, the number (NaN: there is none), since when it is known. All `[R]`."""

    cell: Integers
    number: npt.NDArray[np.float64]
    known_at: Integers

    def take(self, rows: Integers | npt.NDArray[np.bool_]) -> "CellsRecord":
        """Some of the rows."""
        return CellsRecord(self.cell[rows], self.number[rows], self.known_at[rows])


@dataclass(frozen=True)
class MergeReport:
    """What became of the values; see `ObservationsReport`.

    superseded: values that do not stand and are to be kept. changed: cells that have another value now.
    """

    superseded: CellsRecord
    changed: Integers
    n_new: int
    n_restated: int
    n_late: int
    n_unchanged: int


def merge_cells(numbers: npt.NDArray[np.float64], known_at: Integers, cells: CellsRecord) -> MergeReport:
    """Merge values into `numbers` and `known_at` `[n cells]`, in place.

    Args:
        numbers: What stands.
        known_at: Since when; `NOT_OBSERVED` where nothing does.
        cells: Any number of values of a cell, in any order.
    """
    order = np.lexsort((cells.known_at, cells.cell))
    cells = cells.take(order)
    # The first value of each cell, then the second of those that have two, and so on: mostly one round.
    first = np.flatnonzero(np.r_[True, cells.cell[1:] != cells.cell[:-1]])
    rank = np.arange(len(cells.cell)) - np.repeat(first, np.diff(np.r_[first, len(cells.cell)]))
    rounds = [_merge_round(numbers, known_at, cells.take(rank == turn)) for turn in range(int(rank.max()) + 1)]
    kept = [one.superseded for one in rounds]
    return MergeReport(
        CellsRecord(
            *(np.concatenate(parts) for parts in zip(*((k.cell, k.number, k.known_at) for k in kept), strict=True))
        ),
        np.concatenate([one.changed for one in rounds]),
        *(sum(getattr(one, name) for one in rounds) for name in ("n_new", "n_restated", "n_late", "n_unchanged")),
    )


def _merge_round(numbers: npt.NDArray[np.float64], known_at: Integers, cells: CellsRecord) -> MergeReport:
    """At most one value a cell."""
    standing, since = numbers[cells.cell], known_at[cells.cell]
    is_new = since == NOT_OBSERVED
    is_same = ~is_new & ((cells.number == standing) | (np.isnan(cells.number) & np.isnan(standing)))
    is_late = ~is_new & (cells.known_at < since)
    is_restated = ~is_new & ~is_same & ~is_late
    replaced = is_restated & (cells.known_at > since)
    sets = is_new | is_restated
    superseded = CellsRecord(
        np.concatenate([cells.cell[replaced], cells.cell[is_late]]),
        np.concatenate([standing[replaced], cells.number[is_late]]),
        np.concatenate([since[replaced], cells.known_at[is_late]]),
    )
    numbers[cells.cell[sets]] = cells.number[sets]
    known_at[cells.cell[sets]] = cells.known_at[sets]
    n_same = int((is_same & ~is_late).sum())
    return MergeReport(
        superseded, cells.cell[sets], int(is_new.sum()), int(is_restated.sum()), int(is_late.sum()), n_same
    )
