"""Event files for TensorBoard, and profiles; written with TensorFlow alone, TensorBoard is not imported."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.neural.watch import EpochRecord

logger = logging.getLogger(__name__)

_N_BUCKETS = 30


class TrainingSummaries:
    """Scalars and histograms by epoch, where asked for, and a profile of some steps."""

    def __init__(self, directory: Path | None, *, events: bool, profile_steps: tuple[int, int] | None) -> None:
        """Write into a directory; none, or nothing asked for: nothing is written."""
        self._directory = directory if events or profile_steps else None
        self._profile_steps = profile_steps if directory is not None else None
        self._writer = tf.summary.create_file_writer(str(directory)) if events and directory is not None else None
        self._profiling = False

    def epoch(self, record: EpochRecord, weights: dict[str, npt.NDArray[Any]]) -> None:
        """Write one epoch: losses, rate, norms by layer, speed, and a histogram of every weight."""
        if self._writer is None:
            return
        with self._writer.as_default(step=record.epoch):
            for name, value in epoch_scalars(record).items():
                _write_scalar(name, value)
            for name, array in weights.items():
                _write_histogram(f"weights/{name}", array)
        self._writer.flush()

    def step(self, number: int) -> None:
        """Begin or end the profile before step `number`, from 1."""
        if self._profile_steps is None:
            return
        first, last = self._profile_steps
        if number == first and not self._profiling:
            tf.profiler.experimental.start(str(self._directory))
            self._profiling = True
        elif number == last + 1:
            self._end_profile()

    def close(self) -> None:
        """End a profile that is under way, and close the file."""
        self._end_profile()
        if self._writer is not None:
            self._writer.close()

    def _end_profile(self) -> None:
        if self._profiling:
            self._profiling = False
            tf.profiler.experimental.stop()
            logger.info("profile written to %s", self._directory)


def epoch_scalars(record: EpochRecord) -> dict[str, float]:
    """What is known of an epoch, by name; norms of layers as `gradient_norm/LAYER` and `clipped_gradient_norm/LAYER`."""
    scalars = {
        name: float(value)
        for name, value in vars(record).items()
        if name not in ("epoch", "layer_norms") and value is not None
    }
    for layer, (before, after) in record.layer_norms.items():
        scalars[f"layer_gradient_norm/{layer}"] = before
        scalars[f"layer_clipped_gradient_norm/{layer}"] = after
    return scalars


def _write_scalar(name: str, value: float) -> None:
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=_metadata("scalars", "DATA_CLASS_SCALAR"))


def _write_histogram(name: str, array: npt.NDArray[Any]) -> None:
    """A histogram as TensorBoard reads it: left edge, right edge and count of each bucket `[buckets,3]`."""
    counts, edges = np.histogram(array, bins=_N_BUCKETS)
    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
    tf.summary.write(name, tf.constant(buckets, tf.float64), metadata=_metadata("histograms", "DATA_CLASS_TENSOR"))


def _metadata(plugin: str, data_class: str) -> Any:
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    metadata.data_class = metadata.DESCRIPTOR.fields_by_name["data_class"].enum_type.values_by_name[data_class].number
    return metadata
