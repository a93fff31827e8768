"""A series with given rows in the place of its own."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from forecasting.answering.given import GivenRows
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series

Integers = npt.NDArray[np.int64]

MOST_GAP = 100_000
"""Steps without any value that a series is laid out over."""


def past_with_rows(
    series: Series, given: GivenRows, rows: slice, spec: FeatureSpec, *, before: int, n_steps: int
) -> Series:
    """The past of a series with given rows in the place of its own.

    Rows may lie decades apart: only what is read is laid out.

    Args:
        series: As it is stored.
        given: Rows on its grid.
        rows: Which of them are its own.
        spec: Names of the columns, and the step.
        before: The origin, UTC epoch seconds.
        n_steps: Most steps that are read, up to the last target before the origin.
    """
    steps = (given.time[rows] - series.start) // spec.step_s
    end = (before - series.start) // spec.step_s
    columns = {name: given.columns[name][rows] for name in spec.value_columns if name in given.columns}
    stored = np.flatnonzero(np.isfinite(series.values[: max(0, end), 0]))
    brought = steps[np.isfinite(columns.get(spec.target, np.full(len(steps), np.nan))) & (steps < end)]
    if not len(stored) and not len(brought):
        return replace(series, values=series.values[:0], vintages=None)
    last = int(np.concatenate([stored[-1:], brought]).max())
    first = max(min(0, int(steps.min())), last + 1 - n_steps)
    values = np.full((last + 1 - first, len(spec.value_columns)), np.nan)
    low, high = max(0, first), min(series.n_steps, last + 1)
    if low < high:
        values[low - first : high - first] = series.values[low:high]
    for j, name in enumerate(spec.value_columns):
        if name in columns:
            taken = np.isfinite(columns[name]) & (steps >= first) & (steps <= last)
            values[steps[taken] - first, j] = columns[name][taken]
    return replace(series, start=series.start + first * spec.step_s, values=values, vintages=None)


def with_rows(series: Series, given: GivenRows, rows: Integers, spec: FeatureSpec) -> Series:
    """A series with given rows in the place of its own.

    Rows that lie more than `MOST_GAP` steps behind all before them are left out: an array is made of what lies between.

    Args:
        series: As it is stored.
        given: Rows on its grid.
        rows: Places of those that are its own, by time.
        spec: Names of the columns, and the step.
    """
    steps = (given.time[rows] - series.start) // spec.step_s
    far = np.flatnonzero(np.diff(np.maximum(steps, series.n_steps - 1), prepend=series.n_steps - 1) > MOST_GAP)
    if len(far):
        rows, steps = rows[: far[0]], steps[: far[0]]
    if not len(steps):
        return replace(series, vintages=None)
    first, end = min(0, int(steps.min())), max(series.n_steps, int(steps.max()) + 1)
    values = np.full((end - first, len(spec.value_columns)), np.nan)
    values[-first : series.n_steps - first] = series.values
    for j, name in enumerate(spec.value_columns):
        if name in given.columns:
            column = given.columns[name][rows]
            is_given = np.isfinite(column)
            values[steps[is_given] - first, j] = column[is_given]
    return replace(series, start=series.start + first * spec.step_s, values=values, vintages=None)
