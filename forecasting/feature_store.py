"""The feature store: one float32 row of features per series and step; windows are gathered from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, INDEX_FILE, PLANES_FILE
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.schema import SplitSpec, read_series_spec


@dataclass(frozen=True)
class SeriesIndex:
    """Where the rows of each series lie `[N]`.

    offset: row of the first step in the planes, after `context` rows of lead; n_steps: steps; start: time stamp of the first row (UTC epoch
    seconds); static: category codes `[N,S]`.
    """

    ids: tuple[str, ...]
    offset: npt.NDArray[np.int64]
    n_steps: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    static: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FeatureStore:
    """planes float32 `[T_total, past + known]`, in the order of `feature_blocks(spec)`.

    Each series has `context` rows of lead, in which every value is missing, before its first step.
    """

    spec: FeatureSpec
    split: SplitSpec
    index: SeriesIndex
    planes: npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowIndex:
    """Windows to gather `[W]`: row of the origin in the planes, series number, steps before it in the series."""

    row: npt.NDArray[np.int64]
    series: npt.NDArray[np.int64]
    age: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


def window_index(store: FeatureStore, first: int | None, end: int, *, min_age: int) -> WindowIndex:
    """Windows whose horizon lies in `[first, end)`.

    Args:
        store: Feature store.
        first: Earliest time stamp of a horizon step, none for no bound.
        end: First time stamp that no horizon step may reach.
        min_age: Steps of history a window needs at least; what lacks up to the context is missing.
    """
    spec, index = store.spec, store.index
    rows, owners, ages = [], [], []
    for n in range(len(index.ids)):
        start = int(index.start[n])
        low = max(min_age, 0 if first is None else -(-(first - start) // spec.step_s))
        high = min(int(index.n_steps[n]), (end - start) // spec.step_s) - spec.horizon
        steps = np.arange(low, high + 1, dtype=np.int64)
        rows.append(index.offset[n] + steps)
        owners.append(np.full(len(steps), n, dtype=np.int64))
        ages.append(steps)
    return WindowIndex(np.concatenate(rows), np.concatenate(owners), np.concatenate(ages))


def learning_windows(store: FeatureStore, *, with_validation: bool) -> WindowIndex:
    """Windows that a model learns from: those of the train cut, or of train and validation together.

    A window may begin before its series does (what lacks is missing) once one segment is known.
    """
    end = store.split.validation_end if with_validation else store.split.train_end
    return window_index(store, None, end, min_age=store.spec.segment)


def write_series_index(index: SeriesIndex, directory: Path, static_names: tuple[str, ...]) -> None:
    """Write index.parquet."""
    columns = {"series": list(index.ids), "offset": index.offset, "n_steps": index.n_steps, "start": index.start}
    columns |= {f"static_{name}": index.static[:, i] for i, name in enumerate(static_names)}
    pq.write_table(pa.table(columns), directory / INDEX_FILE)


def read_feature_store(directory: Path) -> FeatureStore:
    """Open a feature store; the planes are mapped, not read."""
    spec = read_feature_spec(directory / FEATURE_SPEC_FILE)
    table = pq.read_table(directory / INDEX_FILE)
    static = [table[f"static_{name}"].to_numpy() for name in spec.static]
    index = SeriesIndex(
        ids=tuple(table["series"].to_pylist()),
        offset=table["offset"].to_numpy(),
        n_steps=table["n_steps"].to_numpy(),
        start=table["start"].to_numpy(),
        static=np.column_stack(static).astype(np.int64) if static else np.zeros((len(table), 0), dtype=np.int64),
    )
    return FeatureStore(spec, read_series_spec(directory).split, index, np.load(directory / PLANES_FILE, mmap_mode="r"))
