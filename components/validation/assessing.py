"""The parts of a gridded table as validated series, and the profile of every one of them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from components.validation.checks import n_before_cutoff
from components.validation.exclusions import ExclusionRecord
from components.validation.grid import StepReport
from components.validation.series_profile import (
    RowProfileReport,
    SeriesProfileReport,
    StepProfileReport,
    profile_steps,
    with_any_ahead,
)
from components.validation.storing import StoreReport, cut
from components.validation.surveying import GridShelf
from components.validation.vintages import VintageTable, spec_without_vintages, with_vintages
from forecasting.config.root import ValidateDataSettings
from forecasting.schema import Series, SeriesSpec, SeriesStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutTable:
    """All parts of a table as parts of its store; each is made when it is asked for.

    spec: of the store, with the columns that have vintages. settings: of the table, without them.
    """

    shelf: GridShelf
    spec: SeriesSpec
    step: StepReport
    settings: ValidateDataSettings
    exclusions: tuple[ExclusionRecord, ...]
    vintages: VintageTable | None = None

    def parts(self) -> Iterator[StoreReport]:
        """One part after another."""
        plain = spec_without_vintages(self.spec)
        for part in range(len(self.shelf)):
            made = cut(self.shelf.get(part), plain, step=self.step, settings=self.settings, exclusions=self.exclusions)
            if self.vintages is not None:
                horizon = self.settings.forecast.horizon
                series = (with_vintages(one, self.vintages.of(one.id), plain, horizon) for one in made.store)
                made = replace(made, store=SeriesStore(self.spec, tuple(series)))
            yield made

    def __iter__(self) -> Iterator[Series]:
        """All series in order of id."""
        for made in self.parts():
            yield from made.store


@dataclass(frozen=True)
class SeriesRecord:
    """What is to be known of a series before the store is written: its extent in time, and that of its target."""

    id: str
    start: int
    n_before: int
    low: float
    high: float


@dataclass(frozen=True)
class AssessmentReport:
    """Profile and extent of every series of the store, in order of id; ids of series that have no place in it."""

    profiles: tuple[SeriesProfileReport, ...]
    series: tuple[SeriesRecord, ...]
    left_out: tuple[str, ...]
    n_partial_buckets: int


def assess(table: CutTable, names: tuple[str, ...], rows: tuple[RowProfileReport, ...]) -> AssessmentReport:
    """Profile all series.

    Args:
        table: The series.
        names: Of all series of the table, in order.
        rows: Profile of their rows.
    """
    rows_of = dict(zip(names, rows, strict=True))
    steps: list[StepProfileReport] = []
    records: list[SeriesRecord] = []
    left_out: list[str] = []
    n_partial_buckets = 0
    for number, made in enumerate(table.parts(), start=1):
        n_partial_buckets += made.n_partial_buckets
        left_out += made.left_out
        for one, hidden in zip(made.store, made.hidden, strict=True):
            steps.append(profile_steps(one, hidden, table.spec, settings=table.settings))
            records.append(_record(one, table.spec))
        if len(table.shelf) > 1:
            logger.info("series of part %d of %d profiled", number, len(table.shelf))
    profiles = tuple(
        SeriesProfileReport(record.id, rows_of[record.id], found)
        for record, found in zip(records, with_any_ahead(steps, table.spec, table.settings), strict=True)
    )
    return AssessmentReport(profiles, tuple(records), tuple(left_out), n_partial_buckets)


def _record(one: Series, spec: SeriesSpec) -> SeriesRecord:
    target = one.values[:, 0]
    found = target[~np.isnan(target)]
    low, high = (float(found.min()), float(found.max())) if len(found) else (float("nan"), float("nan"))
    return SeriesRecord(one.id, one.start, n_before_cutoff(one, spec), low, high)
