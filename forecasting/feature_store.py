"""The feature store: one float32 row of features per series and step; windows are gathered from it.

Features of known covariates with vintages have, besides, one row of a whole horizon per origin.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, HORIZON_PLANES_FILE, PLANES_FILE
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.schema import SplitSpec
from forecasting.series_index import SeriesIndex, read_series_index
from forecasting.series_store import read_series_spec


@dataclass(frozen=True)
class FeatureStore:
    """planes float32 `[T_total, past + known]`, in the order of `feature_blocks(spec)`.

    Each series has `context` rows of lead, in which every value is missing, before its first step.
    horizon_planes float32 `[T_total, H, V]`: features of covariates with vintages as an origin at each row knew
    them, columns as in `forecasting.features.transform.vintage_places`, 0 in the lead; none without vintages.
    """

    spec: FeatureSpec
    split: SplitSpec
    index: SeriesIndex
    planes: npt.NDArray[np.float32]
    horizon_planes: npt.NDArray[np.float32] | None = None


class PlaneFile:
    """planes.npy or horizon_planes.npy, written piece by piece; no more than the piece in hand is in memory."""

    def __init__(self, path: Path) -> None:
        """Open a file made by `create`."""
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ArtifactError(f"{path} must be a NumPy file of version 1.0, found {version}")
            self._shape, _, _ = np.lib.format.read_array_header_1_0(stream)
            self._begin = stream.tell()
        self._path = path

    @classmethod
    def create(cls, path: Path, n_rows: int, *shape: int) -> "PlaneFile":
        """Make a file of zeros, float32 `[n_rows, *shape]`."""
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
            "fortran_order": False,
            "shape": (n_rows, *shape),
        }
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            stream.truncate(stream.tell() + 4 * n_rows * math.prod(shape))
        return cls(path)

    def write(self, row: int, planes: npt.NDArray[np.float32]) -> None:
        """Write consecutive rows.

        Args:
            row: The first of them.
            planes: float32 `[rows, P]`, or `[rows, H, V]`.

        Raises:
            ArtifactError: They do not fit into the file.
        """
        if planes.shape[1:] != self._shape[1:] or row < 0 or row + len(planes) > self._shape[0]:
            raise ArtifactError(f"{self._path} has shape {self._shape}; {planes.shape} does not fit at row {row}")
        with self._path.open("r+b", buffering=0) as stream:
            stream.seek(self._begin + 4 * row * math.prod(self._shape[1:]))
            stream.write(np.ascontiguousarray(planes, dtype=np.float32).data)


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


def origin_times(store: FeatureStore, windows: WindowIndex) -> npt.NDArray[np.int64]:
    """First forecast step of each window, UTC epoch seconds `[W]`."""
    return store.index.start[windows.series] + windows.age * store.spec.step_s


def learning_windows(store: FeatureStore, *, with_validation: bool) -> WindowIndex:
    """Windows that a model learns from: those of the train cut, or of train and validation together.

    A window may begin before its series does (what lacks is missing) once one segment is known.
    """
    end = store.split.validation_end if with_validation else store.split.train_end
    return window_index(store, None, end, min_age=store.spec.segment)


def validation_windows(store: FeatureStore) -> WindowIndex:
    """Windows whose horizon lies in the validation period; what lacks of their history is missing."""
    return window_index(store, store.split.validation_start, store.split.validation_end, min_age=store.spec.segment)


def read_feature_store(directory: Path) -> FeatureStore:
    """Open a feature store; the planes are mapped, not read."""
    spec = read_feature_spec(directory / FEATURE_SPEC_FILE)
    index = read_series_index(directory, spec.static)
    names = (PLANES_FILE, *((HORIZON_PLANES_FILE,) if spec.vintages else ()))
    planes = [np.load(directory / name, mmap_mode="r") for name in names]
    return FeatureStore(spec, read_series_spec(directory).split, index, *planes)
