"""Batches of windows, gathered from the planes of the feature store.

Windows are never materialised: a batch is a list of window numbers until the step that needs it. The
planes stay where they are, mapped from their file, so that a store larger than memory is read page by
page and a batch is all that lies in memory.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import FeatureBlocks, feature_blocks, vintage_places
from forecasting.neural.lengths import history_lengths

Tensor = Any
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowGather:
    """Gathers windows by number.

    planes float32 `[T_total,P]`; row `[W]` and series `[W]` as in `WindowIndex`; static `[N,S]`, or none. lengths
    `[W]`: steps of history that a window is given, at most the context. horizon_planes `[T_total,H,V]`, or none:
    what stands in the columns `issued` of the planes over the horizon. columns: those of the planes that the history has; none: all.
    """

    planes: Floats
    row: npt.NDArray[np.int64]
    series: npt.NDArray[np.int64]
    static: npt.NDArray[np.int64] | None
    lengths: npt.NDArray[np.int64]
    horizon: int
    n_past: int
    horizon_planes: Floats | None = None
    issued: tuple[int, ...] = ()
    columns: npt.NDArray[np.int64] | None = None

    def length(self, numbers: npt.ArrayLike) -> int:
        """Steps of history that a batch of windows needs: those of the longest."""
        return int(self.lengths[np.asarray(numbers)].max())

    def arrays(self, numbers: npt.ArrayLike, *, history: Floats | None = None) -> dict[str, Floats]:
        """Windows as history, future, static (if any), target and present `[B,H]`; new arrays.

        Args:
            numbers: Of the windows `[B]`.
            history: Memory `[B,L,P]` that the history is written to, of the last L steps; none: new memory of
                `length` steps.
        """
        chosen = np.asarray(numbers)
        row = self.row[chosen]
        length = self.length(chosen) if history is None else history.shape[1]
        ahead = self._steps(row, self.horizon)
        if self.horizon_planes is not None:
            ahead[:, :, self.issued] = self.horizon_planes[row]
        past = self._steps(row - length, length, history)
        batch = {
            "history": past if self.columns is None else past[:, :, self.columns],
            "future": ahead[:, :, self.n_past :],
            "target": ahead[:, :, 0],
            "present": ahead[:, :, 1],
        }
        if self.static is not None:
            batch["static"] = self.static[self.series[chosen]].astype(np.float32)
        return batch

    def __call__(self, numbers: npt.ArrayLike) -> dict[str, Tensor]:
        """The same as tensors."""
        return {name: tf.constant(array) for name, array in self.arrays(numbers).items()}

    def _steps(self, first: npt.NDArray[np.int64], n: int, into: Floats | None = None) -> Floats:
        """`n` consecutive rows of the planes from each of some rows on `[B,n,P]`.

        Rows lie one after another in memory, so a window is one copy of `n * P` numbers.
        """
        n_rows, n_columns = self.planes.shape
        windows = np.lib.stride_tricks.as_strided(
            self.planes,
            shape=(max(0, n_rows - n + 1), n * n_columns),
            strides=(self.planes.strides[0], self.planes.itemsize),
            writeable=False,
        )
        if into is None:
            return windows[first].reshape(len(first), n, n_columns)
        rows = into.reshape(len(first), n * n_columns)
        for place, begin in enumerate(first.tolist()):
            rows[place] = windows[begin]
        return into


def window_gather(
    store: FeatureStore, windows: WindowIndex, *, n_buckets: int = 1, reads: FeatureSpec | None = None
) -> WindowGather:
    """Gather of some windows of a store, with histories of `n_buckets` lengths.

    Args:
        store: Feature store.
        windows: Of the store.
        n_buckets: Lengths of histories at most.
        reads: A reduced spec of the store's, of whose columns and context the histories are; none: the store's own.
    """
    spec, reads = store.spec, reads or store.spec
    n_past = len(feature_blocks(spec).past)
    return WindowGather(
        # As a plain array: indexing a memory map makes a memory map of every batch.
        planes=np.ascontiguousarray(store.planes),
        row=windows.row,
        series=windows.series,
        static=store.index.static if spec.static else None,
        lengths=history_lengths(windows.age, context=reads.context, segment=spec.segment, n_buckets=n_buckets),
        horizon=spec.horizon,
        n_past=n_past,
        horizon_planes=None if store.horizon_planes is None else np.ascontiguousarray(store.horizon_planes),
        issued=tuple(n_past + place for place in vintage_places(spec)),
        columns=None if reads == spec else _places(feature_blocks(reads), feature_blocks(spec)),
    )


def _places(blocks: FeatureBlocks, among: FeatureBlocks) -> npt.NDArray[np.int64]:
    """Where the columns of some features stand among others."""
    names = (*among.past, *among.known)
    return np.asarray([names.index(name) for name in (*blocks.past, *blocks.known)], dtype=np.int64)
