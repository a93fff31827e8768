"""Series, and what the validated table says of all of them: columns, step, cuts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.series_index import SeriesIndex
from forecasting.vintages import SeriesVintages


@dataclass(frozen=True)
class SplitSpec:
    """Cuts in UTC epoch seconds: train is before `train_end`, then validation, then test, up to `cutoff`.

    Each cut is exclusive: it is the first time stamp that no longer belongs to the period. Nothing is
    forecast in the first `embargo_s` seconds of validation and test.
    """

    train_end: int
    validation_end: int
    cutoff: int
    embargo_s: int = 0

    @property
    def validation_start(self) -> int:
        """First time stamp that is forecast in the validation period."""
        return self.train_end + self.embargo_s

    @property
    def test_start(self) -> int:
        """First time stamp that is forecast in the test period."""
        return self.validation_end + self.embargo_s


@dataclass(frozen=True)
class SeriesSpec:
    """Columns and step of a series store. Value columns are ordered target, observed, known.

    vintages: those of known that have vintages.
    """

    target: str
    observed: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    step_s: int
    split: SplitSpec
    vintages: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Value columns in their order."""
        return (self.target, *self.observed, *self.known)


@dataclass(frozen=True)
class Series:
    """One regular series.

    values `[T, n columns]` float64 in the table's units, NaN where missing; row t is at
    `start + t * step_s` (UTC epoch seconds). static: one category code per static column.
    Rows at or after the cutoff may follow, a horizon of them at most, with known covariates and no target.
    vintages: those of some known covariates, none where there are none. In `values` these have what stood
    when a step came, and from the cutoff on what was known at the cutoff.
    """

    id: str
    start: int
    values: npt.NDArray[np.float64]
    static: tuple[int, ...] = ()
    vintages: SeriesVintages | None = None

    @property
    def n_steps(self) -> int:
        """T."""
        return len(self.values)

    def timestamps(self, step_s: int) -> npt.NDArray[np.int64]:
        """UTC epoch seconds of every row `[T]`."""
        return self.start + step_s * np.arange(self.n_steps, dtype=np.int64)


@dataclass(frozen=True)
class SeriesStore:
    """All series of a validated table, in order of id."""

    spec: SeriesSpec
    series: tuple[Series, ...]

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    @property
    def index(self) -> SeriesIndex:
        """Where the rows of each series lie when they follow each other."""
        lengths = np.asarray([series.n_steps for series in self], dtype=np.int64)
        codes = np.asarray([series.static for series in self], dtype=np.int64)
        return SeriesIndex(
            ids=tuple(series.id for series in self),
            offset=np.cumsum(lengths) - lengths,
            n_steps=lengths,
            start=np.asarray([series.start for series in self], dtype=np.int64),
            static=codes.reshape(len(lengths), len(self.spec.static)),
        )

    def get(self, series_id: str) -> Series:
        """The series of an id.

        Raises:
            KeyError: There is none.
        """
        for series in self.series:
            if series.id == series_id:
                return series
        raise KeyError(series_id)
