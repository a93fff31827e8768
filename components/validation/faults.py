"""Values that are no numbers, found while a table is read in batches and judged when it is known which rows count.

Which rows count is known at the end only: those up to the last target before the cutoff. As that time can only
grow while batches come, a bad value at or before the last target so far is settled at once; others wait.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadValueReport:
    """How many rows are bad, and place and value of the first."""

    n_rows: int
    row: int
    value: object


@dataclass(frozen=True)
class _Waiting:
    times: Ints
    rows: Ints
    series: Ints
    values: list[object]

    def where(self, chosen: npt.NDArray[np.bool_]) -> "_Waiting":
        places = np.flatnonzero(chosen)
        return _Waiting(
            self.times[places], self.rows[places], self.series[places], [self.values[i] for i in places.tolist()]
        )


class BadNumbers:
    """Values of one column that are no finite numbers."""

    def __init__(self) -> None:
        """None yet."""
        self._settled: BadValueReport | None = None
        self._waiting: list[_Waiting] = []

    def add(self, times: Ints, rows: Ints, series: Ints, values: list[object]) -> None:
        """Add those of a batch: times (UTC epoch seconds), places in the source, numbers of series `[n]` and values."""
        self._waiting.append(_Waiting(times, rows, series, values))

    def settle(self, last: float) -> BadValueReport | None:
        """Count what lies at or before a time, and all that was settled before."""
        waiting, self._waiting = self._waiting, []
        for found in waiting:
            is_settled = found.times <= last
            self._settled = _sum(self._settled, found.where(is_settled))
            if not is_settled.all():
                self._waiting.append(found.where(~is_settled))
        return self._settled

    def before(self, end: float, is_read: npt.NDArray[np.bool_]) -> BadValueReport | None:
        """Count what is not settled, lies before a time, and is of a series that is read `[N]`."""
        total = None
        for found in self._waiting:
            total = _sum(total, found.where((found.times < end) & is_read[found.series]))
        return total


def _sum(total: BadValueReport | None, found: _Waiting) -> BadValueReport | None:
    if not len(found.rows):
        return total
    first = int(np.argmin(found.rows))
    row, value = int(found.rows[first]), found.values[first]
    if total is None:
        return BadValueReport(len(found.rows), row, value)
    if total.row < row:
        row, value = total.row, total.value
    return BadValueReport(total.n_rows + len(found.rows), row, value)
