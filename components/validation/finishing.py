"""The last go over the parts: what is trained on and what is in quarantine are filled and written, figures are gathered."""

import logging
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.validation.assessing import AssessmentReport, CutTable
from components.validation.exclusions import count_hidden
from components.validation.imputation import plan_imputation
from components.validation.leaks import LeaksReport, LeakWatch
from components.validation.page import PageFigures
from components.validation.storing import StoreReport
from forecasting.contracts.artifacts import QUARANTINE_DIR
from forecasting.schema import SeriesSpec, SeriesStore
from forecasting.series_store import SeriesStoreWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredReport:
    """What was found of the series that are trained on while they were written.

    spec: of the store as it was written, with masks. n_hidden: steps that each excluded period hides.
    n_filled: values of each covariate that were filled.
    """

    spec: SeriesSpec
    n_series: int
    n_steps: int
    start: int
    longest: int
    n_censored: int
    n_hidden: tuple[int, ...]
    n_filled: dict[str, int]
    leaks: LeaksReport
    figures: PageFigures


def write_stores(table: CutTable, found: AssessmentReport, apart: frozenset[str], output: Path) -> StoredReport:
    """Write the series store, and that of quarantine where a series is in it.

    Args:
        table: All series.
        found: What is known of them.
        apart: Ids of series in quarantine.
        output: Folder of the store.

    Raises:
        ConfigError: A column of the table has the name of a mask.
    """
    writer = _Writer(table, found, apart)
    with ExitStack() as stack:
        kept = stack.enter_context(SeriesStoreWriter(writer.plan.filled, output))
        aside = None
        if apart:
            (output / QUARANTINE_DIR).mkdir()
            aside = stack.enter_context(SeriesStoreWriter(writer.plan.filled, output / QUARANTINE_DIR))
        for number, made in enumerate(table.parts(), start=1):
            writer.add(made, kept, aside)
            if len(table.shelf) > 1:
                logger.info("series of part %d of %d written", number, len(table.shelf))
    return writer.report()


class _Writer:
    def __init__(self, table: CutTable, found: AssessmentReport, apart: frozenset[str]) -> None:
        settings, spec = table.settings, table.spec
        self._table, self._apart = table, apart
        self._series = [record for record in found.series if record.id not in apart]
        self.plan = plan_imputation(spec, settings.validation, season=min(settings.forecast.seasons))
        self._watch = LeakWatch(spec, settings.forecast)
        self._start = min(record.start for record in self._series)
        lows, highs = ([getattr(record, name) for record in self._series] for name in ("low", "high"))
        extent = (float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs)))
        self._figures = PageFigures(spec, season=max(settings.forecast.seasons), first=self._start, extent=extent)
        self._n_hidden = np.zeros(len(table.exclusions), dtype=np.int64)
        self._n_filled: Counter[str] = Counter(dict.fromkeys(self.plan.methods, 0))
        self._n_steps = self._n_censored = 0

    def add(self, made: StoreReport, kept: SeriesStoreWriter, aside: SeriesStoreWriter | None) -> None:
        """Write the series of a part."""
        trained = []
        for one, censored in zip(made.store, made.censored, strict=True):
            filled = self.plan.fill(one)
            if aside is not None and one.id in self._apart:
                aside.add(filled)
                continue
            kept.add(filled)
            trained.append(one)
            self._watch.add(one)
            self._figures.add(one)
            self._n_filled.update(self.plan.n_filled(filled))
            self._n_steps += one.n_steps
            self._n_censored += int(censored.sum())
        if len(self._n_hidden):
            self._n_hidden += count_hidden(SeriesStore(made.store.spec, tuple(trained)), self._table.exclusions)

    def report(self) -> StoredReport:
        """What was found in all parts."""
        return StoredReport(
            spec=self.plan.filled,
            n_series=len(self._series),
            n_steps=self._n_steps,
            start=self._start,
            longest=max(record.n_before for record in self._series),
            n_censored=self._n_censored,
            n_hidden=tuple(self._n_hidden.tolist()),
            n_filled=dict(self._n_filled),
            leaks=self._watch.report(self._table.settings.validation.max_leak_correlation),
            figures=self._figures,
        )
