"""The one pass over a source: every batch becomes typed rows in a spool, and what is to be known of all rows is gathered.

What is gathered is exact and small: the last target before the cutoff, when each series and each category begins, and
values that are no numbers.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.batches import BatchReader, RowBatch
from components.validation.categories import expanded_settings, past_categories
from components.validation.faults import BadNumbers, BadValueReport
from components.validation.parsing import bad_number
from components.validation.reading import check_roles, number_columns, reach_of
from components.validation.report import iso_time
from components.validation.sources import Source, no_rows, wanted_columns
from components.validation.sources.table import SourceTable
from components.validation.spool import ROW, SERIES, TIME, RowSpool
from forecasting.config.root import ValidateDataSettings
from forecasting.errors import DataError

logger = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max
_SAY_ROWS = 1_000_000
"""Rows between two notes of how far reading has come."""


@dataclass(frozen=True)
class ScanReport:
    """A source, read.

    spool: typed rows; columns of numbers and of codes of words under their names. settings: with roles of the columns
    that the rows will have. source: without rows, for names. names: of the series by their number in the spool.
    begins `[N]`: time from which the rows of each series count; its last possible value: never. n_rows `[N]`: rows
    in the spool. last: time of the last target before the cutoff. first_time: of all rows. words: by their codes.
    categories, static: of each categorical covariate and each static column, those up to the last target, in order.
    """

    spool: RowSpool
    settings: ValidateDataSettings
    source: SourceTable
    names: tuple[str, ...]
    begins: Ints
    n_rows: Ints
    last: int
    first_time: int
    words: dict[str, tuple[str, ...]]
    categories: dict[str, tuple[str, ...]]
    static: dict[str, tuple[str, ...]]
    is_naive: bool


def scan(
    source: Source, settings: ValidateDataSettings, *, cutoff: int | None, folder: Path, n_in_memory: int,
    observed_last: int | None = None,
) -> ScanReport:  # fmt: skip
    """Read a source once.

    Args:
        source: The source, of which no row was read yet.
        settings: Of the step.
        cutoff: UTC epoch seconds; of rows at or after it only known covariates are read. None: of the whole table.
        folder: For scratch files.
        n_in_memory: Rows that need none.
        observed_last: Time of the last target before the cutoff that the table need not have; none: there is no such.

    Raises:
        ConfigError: A column has two roles, a setting names a column without one, or `data.time_zone` is no zone.
        DataError: A value cannot be read (the message names file, column, row and value), or there is no
            target before the cutoff.
    """
    if not settings.data.categorical:
        check_roles(settings)
    reader = BatchReader(source, settings, wanted_columns(source, settings.data))
    scanner = _Scanner(settings, cutoff, RowSpool(folder, n_in_memory=n_in_memory))
    n_said = 0
    for batch in reader:
        scanner.add(batch)
        if scanner.n_rows - n_said >= _SAY_ROWS:
            n_said = scanner.n_rows
            logger.info("%s: %d rows read", source.short_name, n_said)
    if not scanner.n_rows:
        raise no_rows(source)
    return scanner.finish(reader, observed_last)


class _Scanner:
    def __init__(self, settings: ValidateDataSettings, cutoff: int | None, spool: RowSpool) -> None:
        self._settings, self._cutoff, self._spool = settings, cutoff, spool
        data = settings.data
        self._numbers = [name for name in number_columns(data) if name not in data.categorical]
        self._bad = {name: BadNumbers() for name in self._numbers}
        self._begins, self._n_of_series = _Extent(), _Extent(0)
        self._word_begins = {name: _Extent() for name in (*data.categorical, *data.static)}
        self._first: int | None = None
        self._last: int | None = None
        self._n_before = 0
        self.n_rows = 0

    def add(self, batch: RowBatch) -> None:
        """Spool a batch and gather what is to be known of it."""
        if not len(batch.times):
            return
        self.n_rows += len(batch.times)
        earliest = int(batch.times.min())
        self._first = earliest if self._first is None else min(self._first, earliest)
        filled = ~np.isnan(batch.numbers[self._settings.data.target])
        counts = filled if batch.wide else slice(None)
        self._begins.lower(batch.series[counts], batch.times[counts])
        for name, begins in self._word_begins.items():
            there = batch.words[name] >= 0
            begins.lower(batch.words[name][there], batch.times[there])
        before = np.full(len(filled), True) if self._cutoff is None else batch.times < self._cutoff
        self._n_before += int(before.sum())
        if (filled & before).any():
            latest = int(batch.times[filled & before].max())
            self._last = latest if self._last is None else max(self._last, latest)
        numbers = self._known_only(batch, before)
        self._note_bad(batch, numbers)
        self._spool_rows(batch, numbers, before)

    def finish(self, reader: BatchReader, observed_last: int | None = None) -> ScanReport:
        """Judge what was gathered, now that it is known which rows count."""
        source, data = reader.table, self._settings.data
        if self._last is not None and observed_last is not None:
            self._last = max(self._last, observed_last)
        self._refuse(self._bad[data.target].settle(_NEVER), source, data.target)
        last, first = self._target_time(source)
        words = {name: found.words for name, found in reader.words.items()}
        begins_of = {name: found.values(len(words[name]), _NEVER) for name, found in self._word_begins.items()}
        categorical = {name: begins_of[name] for name in data.categorical}
        categories = past_categories(source.name, words, categorical, last)
        static = {
            name: tuple(
                sorted(word for word, begin in zip(words[name], begins_of[name].tolist(), strict=True) if begin <= last)
            )
            for name in data.static
        }
        settings = expanded_settings(self._settings, categories)
        check_roles(settings)
        # A column of a wide table without any value is a series from the first row on, so that it is told of.
        begins = self._begins.values(len(reader.names), first if data.layout == "wide" else _NEVER)
        for name, bad in self._bad.items():
            self._refuse(bad.settle(last), source, name)
        for name in data.known:
            if name in self._bad:
                self._refuse(self._bad[name].before(reach_of(settings, last), begins <= last), source, name)
        return ScanReport(
            self._spool, settings, source, reader.names, begins, self._n_of_series.values(len(reader.names), 0),
            last, first, words, categories, static, reader.is_naive,
        )  # fmt: skip

    def _target_time(self, source: SourceTable) -> tuple[int, int]:
        """Times of the last target before the cutoff and of the first row."""
        first = int(self._first or 0)
        if self._cutoff is not None and not self._n_before:
            raise DataError(
                f"{source.name} must have rows before the cutoff {iso_time(self._cutoff)}; its first time stamp is {iso_time(first)}"
            )
        if self._last is None:
            before = "" if self._cutoff is None else f" before the cutoff {iso_time(self._cutoff)}"
            raise DataError(
                f"{source.name}: the target {self._settings.data.target!r} must have values{before}, and every one of its "
                f"{self._n_before:,} rows is missing"
            )
        return self._last, first

    def _known_only(self, batch: RowBatch, before: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
        """Numbers without those of rows after the cutoff that are not known ahead."""
        if before.all():
            return batch.numbers
        known = self._settings.data.known
        return {
            name: values if name in known else np.where(before, values, np.nan)
            for name, values in batch.numbers.items()
        }

    def _note_bad(self, batch: RowBatch, numbers: dict[str, npt.NDArray[np.float64]]) -> None:
        for name, values in numbers.items():
            found = np.flatnonzero(np.isinf(values))
            if len(found):
                written = [batch.written(name, row) for row in found.tolist()]
                self._bad[name].add(batch.times[found], batch.places[found], batch.series[found], written)
            if self._last is not None:
                self._bad[name].settle(self._last)

    def _spool_rows(
        self, batch: RowBatch, numbers: dict[str, npt.NDArray[np.float64]], before: npt.NDArray[np.bool_]
    ) -> None:
        columns = {SERIES: batch.series.astype(np.int32), TIME: batch.times, ROW: batch.places}
        columns |= {f"number {name}": values for name, values in numbers.items()}
        columns |= {f"word {name}": codes.astype(np.int32) for name, codes in batch.words.items()}
        rows = pa.record_batch(columns)
        kept = before
        if self._cutoff is not None and self._settings.data.known:
            kept = batch.times < reach_of(self._settings, self._cutoff)
        rows = rows if kept.all() else rows.filter(pa.array(kept))
        self._n_of_series.count(rows.column(SERIES).to_numpy())
        self._spool.add(rows)

    def _refuse(self, found: BadValueReport | None, source: SourceTable, column: str) -> None:
        if found is not None:
            raise bad_number(
                source.name,
                column,
                row=source.places.name(found.row),
                value=found.value,
                n_rows=found.n_rows,
                form=source.numbers,
            )


class _Extent:
    """One number for each code; codes grow while batches come."""

    def __init__(self, start: int = _NEVER) -> None:
        self._start, self._values = start, np.zeros(0, dtype=np.int64)

    def lower(self, codes: Ints, times: Ints) -> None:
        """Keep the smallest time of each code."""
        if len(codes):
            self._reach(int(codes.max()) + 1)
            np.minimum.at(self._values, codes, times)

    def count(self, codes: npt.NDArray[np.int32]) -> None:
        """Count the rows of each code."""
        if len(codes):
            found = np.bincount(codes)
            self._reach(len(found))
            self._values[: len(found)] += found

    def values(self, n: int, otherwise: int) -> Ints:
        """The numbers of `n` codes; `otherwise` where a code never came."""
        self._reach(n)
        return np.where(self._values == self._start, otherwise, self._values)[:n]

    def _reach(self, n: int) -> None:
        if n > len(self._values):
            longer = np.full(max(n, 2 * len(self._values)), self._start, dtype=np.int64)
            longer[: len(self._values)] = self._values
            self._values = longer
