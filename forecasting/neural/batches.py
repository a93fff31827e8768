"""Batches of windows, gathered in the graph from the planes of the feature store.

Windows are never materialised: a batch is a list of window numbers until the step that needs it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.features.transform import feature_blocks

Tensor = Any


@dataclass(frozen=True)
class WindowGather:
    """Gathers windows by number.

    planes float32 `[T_total,P]`; row int32 `[W]` as in `WindowIndex`; static float32 `[W,S]`.
    """

    planes: Tensor
    row: Tensor
    static: Tensor | None
    context: int
    horizon: int
    n_past: int

    def __call__(self, numbers: Tensor) -> dict[str, Tensor]:
        """Windows `numbers` int32 `[B]` as a dict of history, future, static (if any), target and present `[B,H]`."""
        row = tf.gather(self.row, numbers)[:, None]
        ahead = tf.gather(self.planes, row + tf.range(self.horizon)[None])
        history = tf.gather(self.planes, row + tf.range(-self.context, 0)[None])
        batch = {
            "history": history,
            "future": ahead[:, :, self.n_past :],
            "target": ahead[:, :, 0],
            "present": ahead[:, :, 1],
        }
        if self.static is not None:
            batch["static"] = tf.gather(self.static, numbers)
        return batch


def window_gather(store: FeatureStore, windows: WindowIndex) -> WindowGather:
    """Gather of some windows of a store."""
    spec = store.spec
    static = tf.constant(store.index.static[windows.series], tf.float32) if spec.static else None
    return WindowGather(
        planes=tf.constant(np.asarray(store.planes)),
        row=tf.constant(windows.row, tf.int32),
        static=static,
        context=spec.context,
        horizon=spec.horizon,
        n_past=len(feature_blocks(spec).past),
    )


def epoch_dataset(
    gather: WindowGather, numbers: npt.NDArray[np.int32], batch_size: int, *, drop_remainder: bool
) -> tf.data.Dataset:
    """Batches of the windows in the given order."""
    dataset = tf.data.Dataset.from_tensor_slices(numbers).batch(batch_size, drop_remainder=drop_remainder)
    return dataset.map(gather).prefetch(2)
