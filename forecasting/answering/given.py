"""Rows of history, and of known covariates ahead, that a request brings: one form for JSON and Arrow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.features.spec import FeatureSpec

FLOAT32_MAX = 3.4e38

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GivenRows:
    """R rows of G series.

    ids: the series. series `[R]`: whose row it is, by its place in `ids`. time `[R]`: UTC epoch seconds; with `steps`
    `[R]` so many steps of the model after it. columns: values `[R]` by name, NaN where nothing is given and what is
    stored stays. static: category by column, of each series that has any.
    """

    ids: tuple[str, ...]
    series: Integers
    time: Integers
    columns: Mapping[str, Floats]
    static: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    steps: Integers | None = None

    def at_step(self, step_s: int) -> "GivenRows":
        """The rows with the time of each, for a model of a step."""
        return self if self.steps is None else replace(self, time=self.time + step_s * self.steps, steps=None)

    def pick(self, rows: npt.NDArray[Any]) -> "GivenRows":
        """Some of the rows, by place or by mask."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return replace(self, series=self.series[rows], time=self.time[rows], columns=columns)

    def where(self, row: int) -> tuple[str, str]:
        """Series and time of a row, in words."""
        return self.ids[int(self.series[row])], iso_time(int(self.time[row]))


def joined(first: GivenRows, second: GivenRows) -> GivenRows:
    """Rows of two after each other; their series are apart also where they have the same id."""
    both = (first, second)
    names = dict.fromkeys((*first.columns, *second.columns))
    missing = [np.full(len(one.time), np.nan) for one in both]
    return GivenRows(
        (*first.ids, *second.ids),
        np.concatenate([first.series, second.series + len(first.ids)]),
        np.concatenate([one.time for one in both]),
        {
            name: np.concatenate([one.columns.get(name, empty) for one, empty in zip(both, missing, strict=True)])
            for name in names
        },
        {**first.static, **second.static},
    )


@dataclass(frozen=True)
class SeriesRowsSpec:
    """Rows of one series; see `GivenRows`."""

    time: Integers
    steps: Integers
    columns: Mapping[str, Floats]

    def column(self, name: str) -> Floats:
        """Values of a column, NaN where the series gives none of it."""
        found = self.columns.get(name)
        return np.full(len(self.time), np.nan) if found is None else found


def joined_rows(parts: Mapping[str, SeriesRowsSpec], static: Mapping[str, Mapping[str, str]]) -> GivenRows:
    """Rows of series as one; each may give other columns."""
    names = dict.fromkeys(chain.from_iterable(part.columns for part in parts.values()))
    lengths = np.array([len(part.time) for part in parts.values()])
    return GivenRows(
        tuple(parts),
        np.repeat(np.arange(len(parts)), lengths),
        np.concatenate([part.time for part in parts.values()]),
        {name: np.concatenate([part.column(name) for part in parts.values()]) for name in names},
        static,
        np.concatenate([part.steps for part in parts.values()]),
    )


def check_columns(given: GivenRows, spec: FeatureSpec, key: str = "history") -> None:
    """Refuse columns that the model does not read, and numbers that it cannot hold.

    Raises:
        AnswerError: 400, naming series, column and place.
    """
    for name, values in given.columns.items():
        if name not in spec.value_columns:
            series = given.ids[0] if given.ids else None
            text = f"{key!r} must have columns among {list(spec.value_columns)}, found {name!r}"
            raise AnswerError(400, text, series=series, column=name)
        # NaN compares false: what is not given is no error here.
        too_large = np.abs(values) > FLOAT32_MAX
        if too_large.any():
            row = int(np.argmax(too_large))
            series, place = given.where(row)
            text = f"{key!r} of series {series!r}, column {name!r}, must have finite numbers, found {values[row]} at {place}"
            raise AnswerError(400, text, series=series, column=name, place=place)


def check_times(given: GivenRows, start: Integers, step_s: int, key: str = "history") -> None:
    """Refuse times off the grid of their series, and times that come twice.

    Args:
        given: R rows of G series.
        start: A time on the grid of each series `[G]`.
        step_s: Step of the grid, seconds.
        key: Where the rows stand in the request, for the message.

    Raises:
        AnswerError: 400, naming series and place.
    """
    odd = (given.time - start[given.series]) % step_s != 0
    if odd.any():
        series, place = given.where(int(np.argmax(odd)))
        text = f"{key!r} of series {series!r} must have times on the grid of {step_s} s steps, found {place}"
        raise AnswerError(400, text, series=series, place=place)
    ascending = (np.diff(given.series) > 0) | ((np.diff(given.series) == 0) & (np.diff(given.time) > 0))
    if ascending.all():
        return
    order = np.lexsort((given.time, given.series))
    twice = (np.diff(given.series[order]) == 0) & (np.diff(given.time[order]) == 0)
    if twice.any():
        series, place = given.where(int(order[int(np.argmax(twice)) + 1]))
        raise AnswerError(400, f"{key!r} of series {series!r} must name each time once, found {place} twice", series=series, place=place)  # fmt: skip


def static_codes(series_id: str, given: Mapping[str, str], spec: FeatureSpec) -> list[int]:
    """Category codes of a series that the store does not have.

    Raises:
        AnswerError: 400: a static column of the model is missing, or a category is not one that it knows.
    """
    for name in given:
        if name not in spec.static:
            text = f"'static' of series {series_id!r} must name columns among {list(spec.static)}, found {name!r}"
            raise AnswerError(400, text, series=series_id, column=name)
    return [_code(series_id, name, given.get(name), spec.categories[name]) for name in spec.static]


def _code(series_id: str, name: str, found: str | None, categories: Sequence[str]) -> int:
    if found is None:
        text = f"series {series_id!r} is new: its static column {name!r} must be given under 'static'"
        raise AnswerError(400, text, series=series_id, column=name)
    if found not in categories:
        text = f"'static' of series {series_id!r}, column {name!r}, must be one of {list(categories)[:20]}, found {found!r}"
        raise AnswerError(400, text, series=series_id, column=name)
    return categories.index(found)
