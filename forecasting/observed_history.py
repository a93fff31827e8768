"""How observations that came after a version was made are laid over the series that it was made from.

The series of a version are what its table said at its cutoff; they go with the version, so a rollback brings them back.
Observations are kept by series and time, with the time since when each value is known. Both are joined by one rule, the same
online and in batch:

- A value that became known after the cutoff stands in the place of the table's: it is a later word on the same step.
- A value that was known by the cutoff already fills what the table has nothing for, and changes nothing else: the table was
  read later and may have corrected it.
- Of several values for one step the one that became known last stands, up to `known_by` where that is given.
- NaN withdraws what was observed of a step, and is no word on the table: the table's value stands there again, where it has one.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.schema import Series

NOT_OBSERVED = int(np.iinfo(np.int64).min)
"""Stands for the time at which a value became known that never did."""

Floats = npt.NDArray[np.float64]
Timestamps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ObservedSpan:
    """What was observed of some series over some steps.

    start: first step, epoch seconds. numbers `[…,T,C]`: NaN where nothing was observed, or that there is no value. known_at
    `[…,T,C]`: since when, `NOT_OBSERVED` where nothing was observed.
    """

    start: int
    step_s: int
    numbers: Floats
    known_at: Timestamps

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.start + self.step_s * int(self.numbers.shape[-2])

    def of(self, number: int) -> "ObservedSpan":
        """One series of many."""
        return replace(self, numbers=self.numbers[number], known_at=self.known_at[number])


def lay_over(table: Floats, observed: ObservedSpan, *, cutoff: int) -> Floats:
    """Values of the table with what was observed over them, by the rule above.

    Args:
        table: `[…,T,C]` for the steps of `observed`, NaN where the table has nothing.
        observed: Of the same steps and columns.
        cutoff: Of the version whose table it is, epoch seconds.

    Returns:
        `[…,T,C]`.
    """
    is_later = observed.known_at > cutoff
    fills = np.isnan(table) & (observed.known_at != NOT_OBSERVED)
    found: Floats = np.where((is_later | fills) & ~np.isnan(observed.numbers), observed.numbers, table)
    return found


def with_observations(series: Series, observed: ObservedSpan, *, cutoff: int) -> Series:
    """A series with what was observed of it; it reaches to the last step that has a value of either.

    Args:
        series: Of a version, values `[T,C]`.
        observed: Of the same grid and all C columns, `[T',C]`, over any steps; those before the series are left alone.
        cutoff: Of the version.
    """
    step_s = observed.step_s
    last = _last_observed(observed)
    end = max(series.start + series.n_steps * step_s, last + step_s if last is not None else series.start)
    values = np.full(((end - series.start) // step_s, series.values.shape[1]), np.nan)
    values[: series.n_steps] = series.values
    first, until = max(observed.start, series.start), min(observed.end, end)
    if first >= until:
        return series
    rows = slice((first - series.start) // step_s, (until - series.start) // step_s)
    seen = slice((first - observed.start) // step_s, (until - observed.start) // step_s)
    part = ObservedSpan(first, step_s, observed.numbers[seen], observed.known_at[seen])
    values[rows] = lay_over(values[rows], part, cutoff=cutoff)
    return replace(series, values=values)


def _last_observed(observed: ObservedSpan) -> int | None:
    steps = np.flatnonzero((~np.isnan(observed.numbers)).any(axis=-1))
    return None if not len(steps) else observed.start + int(steps[-1]) * observed.step_s
