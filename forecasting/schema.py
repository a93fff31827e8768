"""The series store: the validated table as regular, typed, sorted series."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.contracts.artifacts import SCHEMA_FILE, SERIES_FILE, STATIC_FILE
from forecasting.errors import ArtifactError

SERIES_COLUMN = "series"
TIMESTAMP_COLUMN = "timestamp"


@dataclass(frozen=True)
class SplitSpec:
    """Cuts in UTC epoch seconds: train is before `train_end`, then validation, then test, up to `cutoff`.

    Each cut is exclusive: it is the first time stamp that no longer belongs to the period.
    """

    train_end: int
    validation_end: int
    cutoff: int


@dataclass(frozen=True)
class SeriesSpec:
    """Columns and step of a series store. Value columns are ordered target, observed, known."""

    target: str
    observed: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    step_s: int
    split: SplitSpec

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
    """

    id: str
    start: int
    values: npt.NDArray[np.float64]
    static: tuple[int, ...] = ()

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

    def get(self, series_id: str) -> Series:
        """The series of an id.

        Raises:
            KeyError: There is none.
        """
        for series in self.series:
            if series.id == series_id:
                return series
        raise KeyError(series_id)


def write_series_store(store: SeriesStore, directory: Path) -> None:
    """Write schema.json, series.parquet (series, timestamp, one float64 column a value) and static.parquet."""
    spec = store.spec
    lengths = [series.n_steps for series in store]
    ids = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)), pa.array([series.id for series in store])
    )
    stamps = np.concatenate([series.timestamps(spec.step_s) for series in store])
    values = np.concatenate([series.values for series in store])
    columns = {SERIES_COLUMN: ids, TIMESTAMP_COLUMN: pa.array(stamps).cast(pa.timestamp("s", tz="UTC"))}
    columns |= {name: pa.array(values[:, i], from_pandas=True) for i, name in enumerate(spec.columns)}
    pq.write_table(pa.table(columns), directory / SERIES_FILE)
    if spec.static:
        codes = {name: [series.static[i] for series in store] for i, name in enumerate(spec.static)}
        pq.write_table(pa.table({SERIES_COLUMN: [series.id for series in store], **codes}), directory / STATIC_FILE)
    write_series_spec(spec, directory)


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
    )


def read_series_store(directory: Path) -> SeriesStore:
    """Read a series store written by `write_series_store`.

    Raises:
        ArtifactError: Rows of a series are not regular.
    """
    spec = read_series_spec(directory)
    table = pq.read_table(directory / SERIES_FILE).combine_chunks()
    ids = table[SERIES_COLUMN].combine_chunks()
    names = ids.dictionary.to_pylist()
    codes = ids.indices.to_numpy()
    stamps = table[TIMESTAMP_COLUMN].cast(pa.timestamp("s", tz="UTC")).cast(pa.int64()).to_numpy()
    values = np.column_stack([table[name].to_numpy() for name in spec.columns]).astype(np.float64)
    statics = _read_static(directory, spec)
    bounds = np.flatnonzero(np.diff(codes)) + 1
    starts, ends = np.r_[0, bounds], np.r_[bounds, len(codes)]
    if np.any((np.diff(stamps) != spec.step_s) & (np.diff(codes) == 0)):
        raise ArtifactError(f"{directory / SERIES_FILE} has a series whose rows are not {spec.step_s} s apart")
    series = tuple(
        Series(
            id=names[codes[a]],
            start=int(stamps[a]),
            values=values[a:b],
            static=_static_of(names[codes[a]], statics, spec),
        )
        for a, b in zip(starts, ends, strict=True)
    )
    return SeriesStore(spec, series)


def _static_of(series_id: str, statics: dict[str, tuple[int, ...]], spec: SeriesSpec) -> tuple[int, ...]:
    if not spec.static:
        return ()
    if series_id not in statics:
        raise ArtifactError(f"{STATIC_FILE} has no row for series {series_id!r}; run validate_data again")
    return statics[series_id]


def _read_static(directory: Path, spec: SeriesSpec) -> dict[str, tuple[int, ...]]:
    if not spec.static:
        return {}
    table = pq.read_table(directory / STATIC_FILE)
    rows = zip(*(table[name].to_pylist() for name in spec.static), strict=True)
    return dict(zip(table[SERIES_COLUMN].to_pylist(), rows, strict=True))
