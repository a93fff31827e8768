"""The latest targets of all series of a series store, without holding the store."""

from pathlib import Path

import numpy as np

from forecasting.contracts.artifacts import QUARANTINE_DIR
from forecasting.schema import Series
from forecasting.series_store import ROW_GROUP_ROWS, SeriesReader


def target_tails(store_dir: Path, since: int) -> dict[str, Series]:
    """Targets from a time on `[T,1]` of every series, those in quarantine among them, by id.

    Args:
        store_dir: A series store.
        since: UTC epoch seconds; a series that ends before it has its last step.
    """
    found = _tails(SeriesReader(store_dir), since)
    if (store_dir / QUARANTINE_DIR).is_dir():
        found |= _tails(SeriesReader(store_dir / QUARANTINE_DIR), since)
    return found


def last_target(tails: dict[str, Series], step_s: int) -> int | None:
    """The latest step with a target, epoch seconds; none where no series has one."""
    last = [
        one.start + step_s * int(known[-1])
        for one in tails.values()
        if len(known := np.flatnonzero(np.isfinite(one.values[:, 0])))
    ]
    return max(last, default=None)


def _tails(reader: SeriesReader, since: int) -> dict[str, Series]:
    index, step_s, found, first = reader.index, reader.spec.step_s, {}, 0
    ends = index.offset + index.n_steps
    while first < len(index):
        fitting = np.searchsorted(ends, int(index.offset[first]) + ROW_GROUP_ROWS, side="right")
        end = max(first + 1, int(fitting))
        values = reader.column(reader.spec.target, int(index.offset[first]), int(ends[end - 1]))
        for number in range(first, end):
            start, n_steps = int(index.start[number]), int(index.n_steps[number])
            skipped = min(max(0, -(-(since - start) // step_s)), n_steps - 1)
            row = int(index.offset[number] - index.offset[first])
            # A copy, so that what is left out does not stay in memory.
            kept = values[row + skipped : row + n_steps, None].copy()
            found[index.ids[number]] = Series(index.ids[number], start + skipped * step_s, kept)
        first = end
    return found
