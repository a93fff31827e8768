"""Batches of a source as rows of numbers: one row a series and time, words as their codes.

A wide table is reshaped batch by batch: each of its rows becomes one row for each column that is a series.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.naming import SeriesNames, WordCodes, coded
from components.validation.parsing import (
    RowFaultError,
    read_numbers,
    written_value,
)
from components.validation.reading import number_columns
from components.validation.sources.table import RowPlaces, Source, SourceTable, unused_columns
from components.validation.times import RepeatedHours, TimeColumn, mixed_zones, parse_times
from components.validation.wide import series_columns
from forecasting.config.root import ValidateDataSettings
from forecasting.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MAX_CELLS = 1 << 20
"""Values that one batch of a wide table becomes at most."""


@dataclass(frozen=True)
class RowBatch:
    """Rows in the order of the source.

    series `[rows]` number of the series by order of appearance; times `[rows]` UTC epoch seconds; places `[rows]` as
    `RowPlaces` names them; numbers: columns with infinity where a value is no number; words: columns of categories
    by their codes, -1 where missing; values: finds a bad value as it is written, by column and row.
    """

    series: Ints
    times: Ints
    places: Ints
    numbers: dict[str, Floats]
    words: dict[str, Ints]
    source: SourceTable
    wide: tuple[str, ...] = ()

    def written(self, column: str, row: int) -> object:
        """A value as it is written in the source."""
        if not self.wide:
            return written_value(self.source, column, row)
        row, number = divmod(row, len(self.wide))
        return written_value(
            self.source, column if column in self.source.table.column_names else self.wide[number], row
        )


class BatchReader:
    """Reads the batches of a source; what must agree between batches is kept here."""

    def __init__(self, source: Source, settings: ValidateDataSettings, columns: tuple[str, ...]) -> None:
        """A reader of some columns of a source."""
        self._source, self._data, self._columns = source, settings.data, columns
        is_wide = settings.data.layout == "wide"
        self._wide = series_columns(source.columns, settings.data, name=source.name) if is_wide else ()
        self._names = SeriesNames(settings.data.id_columns, single=settings.name)
        self._hours = RepeatedHours()
        self._lengths = np.zeros(len(source.parts), dtype=np.int64)
        self._first_naive: SourceTable | None = None
        self._n_naive = self._n_zoned = 0
        self.words = {name: WordCodes() for name in (*settings.data.categorical, *settings.data.static)}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series by their number."""
        return self._wide or self._names.names

    @property
    def is_naive(self) -> bool:
        """Whether times carry no zone."""
        return self._n_naive > 0

    @property
    def table(self) -> SourceTable:
        """The source without its rows: for names in messages."""
        return self._table(pa.table({}), np.zeros(0, dtype=np.int64), len(self._lengths))

    def __iter__(self) -> Iterator[RowBatch]:
        """All batches.

        Raises:
            DataError: Something cannot be read; of times that cannot be read, all are counted.
        """
        fault: RowFaultError | None = None
        for table in self._tables():
            try:
                batch = self._read(table)
                if fault is None:
                    yield batch
            except RowFaultError as found:
                fault = found if fault is None else fault.plus(found.n_rows)
        if fault is None and self._n_zoned and self._first_naive is not None:
            fault = mixed_zones(self._first_naive, self._data, 0, self._n_naive)
        if fault is not None:
            raise DataError(str(fault))

    def _tables(self) -> Iterator[SourceTable]:
        """Tables of at most so many rows that their long form is small."""
        n_rows = max(1, _MAX_CELLS // len(self._wide)) if self._wide else None
        for batch in self._source.batches(self._columns):
            whole = pa.Table.from_batches([batch.rows])
            for first in range(0, len(whole), n_rows or max(1, len(whole))):
                part = whole.slice(first, n_rows)
                place = int(self._lengths.sum())
                yield self._table(part, np.arange(place, place + len(part)), batch.part)
                self._lengths[batch.part] += len(part)

    def _table(self, table: pa.Table, rows: Ints, part: int) -> SourceTable:
        """Rows of a part; the parts before it are read, so that its rows can be named."""
        ends = np.cumsum(self._lengths)
        ends[part:] = np.iinfo(np.int64).max
        source = self._source
        places = RowPlaces(source.row_unit, source.first_row, source.parts, tuple(ends.tolist()), self._wide)
        return SourceTable(
            name=source.name,
            table=table,
            unused_columns=unused_columns(source, self._columns),
            short_name=source.short_name,
            places=places,
            numbers=source.numbers,
            rows=rows,
        )

    def _read(self, table: SourceTable) -> RowBatch:
        data = self._data
        if self._wide:
            table = replace(table, places=replace(table.places, columns=()))
        codes = np.zeros(table.table.num_rows, dtype=np.int64) if self._wide else self._names.codes(table)
        times = parse_times(table, data, codes, self._hours)
        self._count_zones(table, times)
        names = [name for name in number_columns(data) if name not in data.categorical]
        words = {name: self._coded(table, name) for name in self.words}
        if self._wide:
            return self._long(table, times, names, words)
        numbers = {name: read_numbers(table, name) for name in names}
        return RowBatch(codes, times.seconds, np.asarray(table.rows), numbers, words, table)

    def _long(self, table: SourceTable, times: TimeColumn, names: list[str], words: dict[str, Ints]) -> RowBatch:
        """A row for each series of a row."""
        n_series, target = len(self._wide), self._data.target
        numbers = {name: np.repeat(read_numbers(table, name), n_series) for name in names if name != target}
        numbers[target] = np.column_stack([read_numbers(table, name) for name in self._wide]).reshape(-1)
        series = np.tile(np.arange(n_series), table.table.num_rows)
        return RowBatch(
            series=series,
            times=np.repeat(times.seconds, n_series),
            places=np.repeat(np.asarray(table.rows), n_series) * n_series + series,
            numbers={name: numbers[name] for name in names},
            words={name: np.repeat(codes, n_series) for name, codes in words.items()},
            source=table,
            wide=self._wide,
        )

    def _coded(self, table: SourceTable, name: str) -> Ints:
        """Codes of a column of categories: of a static one an empty word is a category, else it is missing."""
        codes, words = coded(table, name)
        if name in self._data.static:
            found = np.r_[self.words[name].codes(words), self.words[name].codes([""]) if (codes < 0).any() else -1]
            return found[codes]
        stripped = [word.strip() for word in words]
        known = self.words[name].codes([word for word in stripped if word])
        found = np.full(len(words) + 1, -1, dtype=np.int64)
        found[np.flatnonzero([bool(word) for word in stripped])] = known
        return found[codes]

    def _count_zones(self, table: SourceTable, times: TimeColumn) -> None:
        n_rows = len(times.seconds)
        self._n_naive, self._n_zoned = self._n_naive + times.n_naive, self._n_zoned + n_rows - times.n_naive
        if times.n_naive and self._first_naive is None:
            self._first_naive = replace(table, table=table.table.slice(0, 1))
