"""The series store on disk: the validated table as regular, typed, sorted series."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.contracts.artifacts import INDEX_FILE, SCHEMA_FILE, SERIES_FILE, VINTAGES_FILE
from forecasting.errors import ArtifactError
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.series_index import SeriesIndex, read_series_index, write_series_index
from forecasting.vintages import SeriesVintages, VintagesReader, VintagesWriter, no_vintages

SERIES_COLUMN = "series"
TIMESTAMP_COLUMN = "timestamp"
ROW_GROUP_ROWS = 1 << 18
"""Rows that are written and read at once."""
_STAMP = pa.timestamp("s", tz="UTC")


class SeriesStoreWriter:
    """Writes a series store series by series, so that no more than a row group is in memory.

    The files: schema.json, index.parquet, series.parquet (series, timestamp, one float64 column a value), and where there
    are vintages vintages.parquet (series, timestamp, issued_at, one float64 column a covariate).

    The bytes of a store depend on its series alone, not on how they came. Use it as a context: its files are complete
    when the context ends without an error.
    """

    def __init__(self, spec: SeriesSpec, directory: Path) -> None:
        """Begin a store in an existing folder."""
        self._spec, self._directory = spec, directory
        kinds = [(SERIES_COLUMN, pa.dictionary(pa.int32(), pa.string())), (TIMESTAMP_COLUMN, _STAMP)]
        self._schema = pa.schema([*kinds, *((name, pa.float64()) for name in spec.columns)])
        self._file = pq.ParquetWriter(directory / SERIES_FILE, self._schema)
        self._vintages = VintagesWriter(directory / VINTAGES_FILE, spec.vintages) if spec.vintages else None
        self._waiting: list[tuple[str, int, npt.NDArray[np.float64]]] = []
        self._n_waiting = 0
        self._entries: list[tuple[str, int, int, tuple[int, ...]]] = []

    def __enter__(self) -> "SeriesStoreWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            if self._vintages is not None:
                self._vintages.close()

    def add(self, one: Series) -> None:
        """Append a series; series come in order of id."""
        self._entries.append((one.id, one.n_steps, one.start, one.static))
        if self._vintages is not None:
            self._vintages.append(one.id, one.vintages or no_vintages(self._spec.vintages))
        row = 0
        while row < one.n_steps:
            n_rows = min(one.n_steps - row, ROW_GROUP_ROWS - self._n_waiting)
            self._waiting.append((one.id, one.start + row * self._spec.step_s, one.values[row : row + n_rows]))
            self._n_waiting += n_rows
            row += n_rows
            if self._n_waiting == ROW_GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        """Write what is left, the index and the schema."""
        self._write_group()
        self._file.close()
        if self._vintages is not None:
            self._vintages.close()
        ids, n_steps, start, static = zip(*self._entries, strict=True) if self._entries else ((), (), (), ())
        lengths = np.asarray(n_steps, dtype=np.int64)
        index = SeriesIndex(
            ids=tuple(ids),
            offset=np.cumsum(lengths) - lengths,
            n_steps=lengths,
            start=np.asarray(start, dtype=np.int64),
            static=np.asarray(static, dtype=np.int64).reshape(len(lengths), len(self._spec.static)),
        )
        write_series_index(index, self._directory, self._spec.static)
        write_series_spec(self._spec, self._directory)

    def _write_group(self) -> None:
        if not self._waiting:
            return
        step_s = self._spec.step_s
        lengths = [len(values) for _, _, values in self._waiting]
        numbers = pa.array(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
        stamps = np.concatenate(
            [start + step_s * np.arange(len(values), dtype=np.int64) for _, start, values in self._waiting]
        )
        values = np.concatenate([values for _, _, values in self._waiting])
        arrays = [
            pa.DictionaryArray.from_arrays(numbers, pa.array([name for name, _, _ in self._waiting], pa.string())),
            pa.array(stamps).cast(_STAMP),
            *(pa.array(values[:, i], from_pandas=True) for i in range(values.shape[1])),
        ]
        self._file.write_table(pa.table(arrays, schema=self._schema), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._n_waiting = [], 0


def write_series_spec(spec: SeriesSpec, directory: Path) -> None:
    """Write schema.json."""
    (directory / SCHEMA_FILE).write_text(json.dumps(asdict(spec), indent=1), encoding="utf-8")


def read_series_spec(directory: Path) -> SeriesSpec:
    """Read schema.json of a series store."""
    document = json.loads((directory / SCHEMA_FILE).read_text(encoding="utf-8"))
    return SeriesSpec(
        target=document["target"],
        observed=tuple(document["observed"]),
        known=tuple(document["known"]),
        static=tuple(document["static"]),
        categories={name: tuple(values) for name, values in document["categories"].items()},
        step_s=document["step_s"],
        split=SplitSpec(**document["split"]),
        vintages=tuple(document.get("vintages", ())),
    )


class SeriesReader:
    """Reads rows of a series store as they are asked for, so that no more than a part of it is in memory."""

    def __init__(self, directory: Path) -> None:
        """Open a store written by `SeriesStoreWriter`.

        Raises:
            ArtifactError: A Parquet file of it is missing or damaged; so for all that reads its rows.
        """
        self.spec = read_series_spec(directory)
        with _reading(directory / INDEX_FILE) as path:
            self.index = read_series_index(path.parent, self.spec.static)
        self._path = directory / SERIES_FILE
        with _reading(self._path):
            self._file = pq.ParquetFile(self._path)
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._bounds = np.cumsum([0, *sizes])
        self._vintages_path = directory / VINTAGES_FILE
        with _reading(self._vintages_path) as path:
            self._vintages = VintagesReader(path) if self.spec.vintages else None

    def rows(self, first: int, end: int) -> npt.NDArray[np.float64]:
        """Values of rows `first` to `end - 1` of the store, `[rows, n columns]`, NaN where missing.

        Raises:
            ArtifactError: The store has fewer rows, or they cannot be read.
        """
        part = self._slice(first, end, list(self.spec.columns))
        values = np.empty((end - first, len(self.spec.columns)))
        for i, name in enumerate(self.spec.columns):
            values[:, i] = part[name].to_numpy()
        return values

    def column(self, name: str, first: int, end: int) -> npt.NDArray[np.float64]:
        """Values of one column in rows `first` to `end - 1`, `[rows]`, NaN where missing.

        Raises:
            ArtifactError: The store has fewer rows, or they cannot be read.
        """
        values: npt.NDArray[np.float64] = self._slice(first, end, [name])[name].to_numpy()
        return values

    def _slice(self, first: int, end: int, columns: list[str]) -> pa.Table:
        if not 0 <= first < end <= self._bounds[-1]:
            raise ArtifactError(f"{self._path} must have rows {first} to {end - 1}, and it has {self._bounds[-1]}")
        groups = range(
            int(np.searchsorted(self._bounds, first, side="right")) - 1,
            int(np.searchsorted(self._bounds, end, side="left")),
        )
        with _reading(self._path):
            table = self._file.read_row_groups(list(groups), columns=columns)
        return table.slice(first - int(self._bounds[groups.start]), end - first)

    def __iter__(self) -> Iterator[Series]:
        """All series; no more than a group of rows, or one series, is read at once."""
        index, first = self.index, 0
        ends = index.offset + index.n_steps
        while first < len(index):
            fitting = np.searchsorted(ends, int(index.offset[first]) + ROW_GROUP_ROWS, side="right")
            end = max(first + 1, int(fitting))
            yield from self.part(first, end)
            first = end

    def part(self, first: int, end: int) -> Iterator[Series]:
        """The series from one place of the index up to another; their rows are read at once."""
        if first == end:
            return
        begin, last = int(self.index.offset[first]), end - 1
        beyond = int(self.index.offset[last] + self.index.n_steps[last])
        values = self.rows(begin, beyond) if begin < beyond else np.empty((0, len(self.spec.columns)))
        for number in range(first, end):
            row = int(self.index.offset[number]) - begin
            yield self._named(number, values[row : row + int(self.index.n_steps[number])])

    def _named(self, number: int, values: npt.NDArray[np.float64]) -> Series:
        static = tuple(int(code) for code in self.index.static[number])
        return Series(self.index.ids[number], int(self.index.start[number]), values, static, self.vintages(number))

    def vintages(self, number: int) -> SeriesVintages | None:
        """Vintages of one series; none where the store has none."""
        if self._vintages is None:
            return None
        with _reading(self._vintages_path):
            return self._vintages.vintages(number)

    def series(self, number: int) -> Series:
        """One whole series by its place in the index."""
        first = int(self.index.offset[number])
        return self._named(number, self.rows(first, first + int(self.index.n_steps[number])))

    def train_values(self, number: int) -> npt.NDArray[np.float64]:
        """Values of one series before the end of the train cut `[T, n columns]`."""
        n_train = (self.spec.split.train_end - int(self.index.start[number])) // self.spec.step_s
        first, n_steps = int(self.index.offset[number]), min(max(0, n_train), int(self.index.n_steps[number]))
        return self.rows(first, first + n_steps) if n_steps else np.empty((0, len(self.spec.columns)))


@contextmanager
def _reading(path: Path) -> Iterator[Path]:
    """Name the file in what goes wrong with reading it."""
    try:
        yield path
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} must be a whole Parquet file of a series store, and it cannot be read: {error}"
        ) from error


def read_series_store(directory: Path) -> SeriesStore:
    """Read a whole series store written by `SeriesStoreWriter`.

    Raises:
        ArtifactError: A file of it cannot be read, or its index does not fit its rows.
    """
    reader = SeriesReader(directory)
    index = reader.index
    values = reader.rows(0, int(index.n_steps.sum()))
    series = tuple(
        Series(
            id=index.ids[n],
            start=int(index.start[n]),
            values=values[first : first + int(index.n_steps[n])],
            static=tuple(int(code) for code in index.static[n]),
            vintages=reader.vintages(n),
        )
        for n, first in enumerate(index.offset.tolist())
    )
    return SeriesStore(reader.spec, series)
