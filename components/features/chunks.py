"""How the rows of a series store are cut into chunks, the elements that Beam moves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.series_index import SeriesIndex
from forecasting.series_store import SeriesReader


@dataclass(frozen=True)
class PartSpec:
    """Steps `first` to `end - 1` of one series."""

    series: int
    first: int
    end: int


@dataclass(frozen=True)
class ChunkSpec:
    """Parts of neighbouring series that are read, computed and written together."""

    number: int
    parts: tuple[PartSpec, ...]

    @property
    def n_rows(self) -> int:
        """Steps of all parts."""
        return sum(part.end - part.first for part in self.parts)


@dataclass(frozen=True)
class PartRows:
    """Values `[n_before + end - first, C]` of a part and of up to some steps before it."""

    part: PartSpec
    n_before: int
    values: npt.NDArray[np.float64]


def plan_chunks(index: SeriesIndex, *, chunk_rows: int) -> tuple[ChunkSpec, ...]:
    """Cut all series, in their order, into chunks of `chunk_rows` rows; only the last may have fewer."""
    chunks: list[ChunkSpec] = []
    parts: list[PartSpec] = []
    room = chunk_rows
    for n, length in enumerate(index.n_steps.tolist()):
        first = 0
        while first < length:
            end = min(length, first + room)
            parts.append(PartSpec(n, first, end))
            room -= end - first
            first = end
            if not room:
                chunks.append(ChunkSpec(len(chunks), tuple(parts)))
                parts, room = [], chunk_rows
    if parts:
        chunks.append(ChunkSpec(len(chunks), tuple(parts)))
    return tuple(chunks)


@dataclass(frozen=True)
class SeriesBatch:
    """Whole series `first` to `end - 1`."""

    number: int
    first: int
    end: int


def series_batches(index: SeriesIndex, *, chunk_rows: int) -> tuple[SeriesBatch, ...]:
    """All series in batches of about `chunk_rows` rows, none of them cut."""
    batches: list[SeriesBatch] = []
    first = rows = 0
    for n, length in enumerate(index.n_steps.tolist()):
        rows += length
        if rows >= chunk_rows or n + 1 == len(index):
            batches.append(SeriesBatch(len(batches), first, n + 1))
            first, rows = n + 1, 0
    return tuple(batches)


def read_chunk(reader: SeriesReader, chunk: ChunkSpec, *, halo: int) -> Iterator[PartRows]:
    """The rows of a chunk, part by part.

    Args:
        reader: The store.
        chunk: Which rows.
        halo: Steps of the same series to read before each part, as far as there are any.
    """
    offset = reader.index.offset
    first, last = chunk.parts[0], chunk.parts[-1]
    n_before = min(halo, first.first)
    begin = int(offset[first.series]) + first.first - n_before
    values = reader.rows(begin, int(offset[last.series]) + last.end)
    for part in chunk.parts:
        n_before = min(halo, part.first)
        low = int(offset[part.series]) + part.first - n_before - begin
        yield PartRows(part, n_before, values[low : low + n_before + part.end - part.first])
