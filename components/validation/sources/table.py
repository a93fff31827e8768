"""What every kind of source is: columns, and batches of rows; and the whole table read from it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written where they are text."""

    decimal: str = "."
    thousands: str | None = None


@dataclass(frozen=True)
class PartBatch:
    """Rows of one part (file) of a source, by its place in `Source.parts`."""

    part: int
    rows: pa.RecordBatch


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A table that can be read in batches, as often as asked for.

    name: for messages, without secrets. short_name: for headings. columns: all it has, in its order.
    parts: names of its files; one where it has none. row_unit, first_row: what a row of a part is called, and
    the number of the first. numbers: how numbers are written.
    """

    name: str
    short_name: str
    columns: tuple[str, ...]
    parts: tuple[str, ...] = ("",)
    row_unit: Literal["line", "row"] = "row"
    first_row: int = 1
    numbers: NumberFormat = NumberFormat()

    @abstractmethod
    def batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        """Batches of some columns, which all have one schema, in the order of the source's rows.

        Raises:
            DataError: The source cannot be read.
            RetryableError: It was changed while it was read.
        """

    def hint_for_missing(self) -> str:
        """What to look at where a column is missing; empty where nothing is striking."""
        return ""


@dataclass(frozen=True)
class RowPlaces:
    """How a reader of a message finds a row.

    ends: number of rows up to the end of each part. columns: names of the series' columns of a wide table, each of whose
    rows became one row for each of them; else empty.
    """

    unit: str = "row"
    first: int = 1
    parts: tuple[str, ...] = ("",)
    ends: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()

    def name(self, place: int) -> str:
        """Such as `line 12`, `row 4 of b.parquet`, `line 3, column MT_001`."""
        column = ""
        if self.columns:
            place, number = divmod(place, len(self.columns))
            column = f", column {self.columns[number]}"
        part = int(np.searchsorted(self.ends, place, side="right")) if len(self.parts) > 1 else 0
        start = self.ends[part - 1] if part else 0
        of_part = f" of {self.parts[part]}" if len(self.parts) > 1 else ""
        return f"{self.unit} {place - start + self.first}{of_part}{column}"


@dataclass(frozen=True)
class SourceTable:
    """Columns of a source as they are written in it: text from CSV, typed columns from elsewhere.

    rows: where the rows of the table stand in the source; none: the table has all of them.
    """

    name: str
    table: pa.Table
    unused_columns: tuple[str, ...] = ()
    short_name: str = ""
    places: RowPlaces = RowPlaces()
    numbers: NumberFormat = NumberFormat()
    rows: npt.NDArray[np.int64] | None = None

    def row_name(self, row: int) -> str:
        """How a reader finds a row: the line of a CSV file (line 1 has the names), else the row from 1."""
        return self.places.name(row if self.rows is None else int(self.rows[row]))

    def where(self, chosen: npt.NDArray[np.bool_]) -> "SourceTable":
        """Some of the rows, which keep their names."""
        rows = np.flatnonzero(chosen) if self.rows is None else self.rows[chosen]
        return replace(self, table=self.table.filter(pa.array(chosen)), rows=rows)


def unused_columns(source: Source, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of a source that are not asked for."""
    return tuple(name for name in source.columns if name not in columns)


def collect(source: Source, columns: tuple[str, ...]) -> SourceTable:
    """Read some columns of a source as a whole.

    Raises:
        DataError: The source cannot be read.
    """
    batches: list[pa.RecordBatch] = []
    lengths = np.zeros(len(source.parts), dtype=np.int64)
    for batch in source.batches(columns):
        batches.append(batch.rows)
        lengths[batch.part] += batch.rows.num_rows
    table = (
        pa.Table.from_batches(batches) if batches else pa.table({name: pa.array([], pa.string()) for name in columns})
    )
    return SourceTable(
        name=source.name,
        table=table,
        unused_columns=unused_columns(source, columns),
        short_name=source.short_name,
        places=RowPlaces(source.row_unit, source.first_row, source.parts, tuple(np.cumsum(lengths).tolist())),
        numbers=source.numbers,
    )
