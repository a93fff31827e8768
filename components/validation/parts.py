"""A read source as parsed tables, each with some whole series in order of id."""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.categories import one_hot
from components.validation.parsing import IdColumn
from components.validation.reading import ParsedTable, later_rows, number_columns, reach_of
from components.validation.scanning import ScanReport, scan
from components.validation.sources.table import Source
from components.validation.spool import ROW, SERIES, TIME, PartedRows, PartSpec, plan_parts
from components.validation.times import TimeColumn
from forecasting.config.root import ValidateDataSettings
from forecasting.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _StaticFault:
    """A row whose category is not that of its series."""

    row: int
    series: str
    first: str
    other: str


def read_whole(
    source: Source, settings: ValidateDataSettings, *, cutoff: int | None = None
) -> tuple[ParsedTable, ValidateDataSettings]:
    """Read a table that fits in memory; the settings have the roles of its columns.

    Raises:
        ConfigError: See `scan`.
        DataError: See `scan`; or a series has two categories of a static column.
    """
    n_rows = sys.maxsize
    found = scan(source, settings, cutoff=cutoff, folder=Path(), n_in_memory=n_rows)
    return TableParts(found, folder=Path(), n_rows=n_rows).table(0), found.settings


class TableParts:
    """The rows of a source in parts. Every part fits in memory, and a series is whole in one."""

    def __init__(self, found: ScanReport, *, folder: Path, n_rows: int) -> None:
        """Part what was read.

        Args:
            found: The source; its spool is used up.
            folder: For scratch files, where there are several parts.
            n_rows: Rows of a part; a series that has more is a part of its own.
        """
        self.found = found
        order = np.asarray(sorted(range(len(found.names)), key=found.names.__getitem__), dtype=np.int64)
        kept = order[found.begins[order] <= found.last]
        if n_new := len(found.names) - len(kept):
            logger.info("%d series begin after the last target before the cutoff and are not read", n_new)
        self._names = tuple(found.names[i] for i in kept.tolist())
        self._begins = found.begins[kept]
        numbers = np.full(len(found.names), -1, dtype=np.int64)
        numbers[kept] = np.arange(len(kept))
        self.parts: tuple[PartSpec, ...] = plan_parts(found.n_rows[kept], n_rows)
        end = reach_of(found.settings, found.last)
        self._rows = PartedRows(found.spool, numbers, self.parts, folder=folder, end=end)

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of the series that are read, in order."""
        return self._names

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[ParsedTable]:
        for part in range(len(self)):
            yield self.table(part)

    def table(self, part: int) -> ParsedTable:
        """One part as a parsed table.

        Raises:
            DataError: A series has two categories of a static column.
        """
        found, spec, data = self.found, self.parts[part], self.found.settings.data
        rows = self._past_or_later(part)
        times = rows.column(TIME).to_numpy()
        is_past = times <= found.last
        later = rows.filter(pa.array(~is_past)) if data.known and not is_past.all() else rows.slice(0, 0)
        past = rows if is_past.all() else rows.filter(pa.array(is_past))
        ids = IdColumn(self._names[spec.first : spec.end], past.column(SERIES).to_numpy().astype(np.int64))
        known, columns = self._numbers(later), self._numbers(past)
        return ParsedTable(
            source=replace(found.source, rows=past.column(ROW).to_numpy()),
            ids=ids,
            times=TimeColumn(past.column(TIME).to_numpy(), past.num_rows if found.is_naive else 0),
            numbers={name: columns[name] for name in number_columns(data)},
            static=self._static(past, ids, part),
            later=later_rows(
                later.column(SERIES).to_numpy().astype(np.int64),
                later.column(TIME).to_numpy(),
                [known[name] for name in data.known],
            ),
        )

    def _past_or_later(self, part: int) -> pa.RecordBatch:
        """Rows of a part without those before their series begins."""
        rows, spec = self._rows.rows(part), self.parts[part]
        begins = self._begins[spec.first : spec.end]
        kept = rows.column(TIME).to_numpy() >= begins[rows.column(SERIES).to_numpy()]
        return rows if kept.all() else rows.filter(pa.array(kept))

    def _numbers(self, rows: pa.RecordBatch) -> dict[str, npt.NDArray[np.float64]]:
        found, numbers = self.found, {}
        for name in rows.schema.names:
            kind, _, column = name.partition(" ")
            if kind == "number":
                numbers[column] = rows.column(name).to_numpy(zero_copy_only=False)
            elif kind == "word" and column in found.categories:
                codes = rows.column(name).to_numpy()
                numbers |= one_hot(column, codes, found.words[column], found.categories[column])
        return numbers

    def _static(self, past: pa.RecordBatch, ids: IdColumn, part: int) -> dict[str, tuple[str, ...]]:
        categories = {}
        for name in self.found.settings.data.static:
            codes, words = past.column(f"word {name}").to_numpy(), self.found.words[name]
            first = np.full(len(ids.names), -1, dtype=np.int64)
            first[ids.codes[::-1]] = codes[::-1]
            if (first[ids.codes] != codes).any():
                raise self._two_categories(name, part)
            categories[name] = tuple(words[code] for code in first.tolist())
        return categories

    def _two_categories(self, name: str, first_part: int) -> DataError:
        """The error on the first row of the source whose category is not that of its series."""
        faults = []
        for part in range(first_part, len(self)):
            rows, spec = self._past_or_later(part), self.parts[part]
            rows = rows.filter(pa.array(rows.column(TIME).to_numpy() <= self.found.last))
            series, codes = rows.column(SERIES).to_numpy(), rows.column(f"word {name}").to_numpy()
            first = np.full(spec.end - spec.first, -1, dtype=np.int64)
            first[series[::-1]] = codes[::-1]
            for row in np.flatnonzero(first[series] != codes)[:1].tolist():
                place, words = int(rows.column(ROW)[row].as_py()), self.found.words[name]
                owner = self._names[spec.first + int(series[row])]
                faults.append(_StaticFault(place, owner, words[first[series[row]]], words[codes[row]]))
        worst = min(faults, key=lambda fault: fault.row)
        source = self.found.source
        return DataError(
            f"{source.name}: static column {name!r} must have one value for each series; series {worst.series!r} has "
            f"{worst.first!r} and, in {source.places.name(worst.row)}, {worst.other!r}"
        )
