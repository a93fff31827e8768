"""What a training tells of itself: sums over the steps of an epoch, and the use of the machine."""

import ctypes
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

N_STEP_FIELDS = 4
"""Numbers of a step before the norms: loss, whether the gradients were finite, whether they were clipped, loss scale."""


@dataclass(frozen=True)
class StepRow:
    """One step as the compiled step returns it; norms by weight `[V]`."""

    loss: float
    finite: bool
    clipped: bool
    loss_scale: float
    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]

    @classmethod
    def parse(cls, row: npt.NDArray[Any]) -> "StepRow":
        """Of the vector `[4 + 2V]`."""
        numbers = row.astype(np.float64)
        before, after = np.split(numbers[N_STEP_FIELDS:], 2)
        return cls(float(numbers[0]), bool(numbers[1]), bool(numbers[2]), float(numbers[3]), before, after)

    @property
    def norm(self) -> float:
        """Global norm of the gradients before they were changed."""
        return float(np.sqrt(np.sum(np.square(self.before))))


@dataclass(frozen=True)
class EpochTally:
    """Sums over the steps of an epoch so far, as plain numbers, so that a checkpoint keeps them exactly."""

    n_steps: int = 0
    n_skipped: int = 0
    n_clipped: int = 0
    loss_sum: float = 0.0
    loss_scale: float = 1.0
    norm_sum: float = 0.0
    norm_max: float = 0.0
    clipped_norm_sum: float = 0.0
    before_sums: tuple[float, ...] = ()
    after_sums: tuple[float, ...] = ()
    duration_s: float = 0.0
    cpu_s: float = 0.0

    def after(self, rows: Sequence[StepRow]) -> "EpochTally":
        """The sums with some more steps; what was skipped for its overflow counts as skipped alone."""
        kept = [row for row in rows if row.finite]
        if not rows:
            return self
        n_weights = len(rows[0].before)
        before, after = (np.asarray(sums or (0.0,) * n_weights) for sums in (self.before_sums, self.after_sums))
        norm_max, norm_sum, loss_sum, clipped_sum = self.norm_max, self.norm_sum, self.loss_sum, self.clipped_norm_sum
        for row in kept:
            before, after = before + row.before, after + row.after
            loss_sum, norm_sum = loss_sum + row.loss, norm_sum + row.norm
            norm_max = max(norm_max, row.norm)
            clipped_sum += float(np.sqrt(np.sum(np.square(row.after))))
        return replace(
            self,
            n_steps=self.n_steps + len(rows),
            n_skipped=self.n_skipped + len(rows) - len(kept),
            n_clipped=self.n_clipped + sum(row.clipped for row in kept),
            loss_sum=loss_sum,
            loss_scale=rows[-1].loss_scale,
            norm_sum=norm_sum,
            norm_max=norm_max,
            clipped_norm_sum=clipped_sum,
            before_sums=tuple(before.tolist()),
            after_sums=tuple(after.tolist()),
        )

    def timed(self, clock: "Stopwatch") -> "EpochTally":
        """The sums with the time since a clock was started; once for each time that an epoch is left."""
        return replace(self, duration_s=self.duration_s + clock.elapsed_s, cpu_s=self.cpu_s + clock.cpu_s)

    @property
    def n_kept(self) -> int:
        """Steps that changed the weights."""
        return self.n_steps - self.n_skipped


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Losses in scaled units: train per horizon step, validation per horizon step that is present. Gradient
    norms are means over the steps, before and after normalisation and clipping; layer_norms has both by
    layer. windows_per_s counts training alone; cpu_use is CPU seconds per second, gpu_use a share, or none.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    duration_s: float
    windows_per_s: float = 0.0
    gradient_norm: float = 0.0
    gradient_norm_max: float = 0.0
    clipped_gradient_norm: float = 0.0
    clipped_ratio: float = 0.0
    n_skipped_steps: int = 0
    loss_scale: float = 1.0
    n_retries: int = 0
    cpu_use: float = 0.0
    gpu_use: float | None = None
    layer_norms: dict[str, tuple[float, float]] = field(default_factory=dict)


def layer_norms(paths: Sequence[str], tally: EpochTally) -> dict[str, tuple[float, float]]:
    """Mean gradient norm of each layer, before and after: the root of the sum of squares over its weights.

    Args:
        paths: Path of each weight, such as `network/encoder/kernel`.
        tally: Sums over an epoch.
    """
    squares: dict[str, list[float]] = {}
    for path, before, after in zip(paths, tally.before_sums, tally.after_sums, strict=True):
        parts = path.split("/")
        sums = squares.setdefault("/".join(parts[1:-1]) or parts[0], [0.0, 0.0])
        sums[0] += (before / max(1, tally.n_kept)) ** 2
        sums[1] += (after / max(1, tally.n_kept)) ** 2
    return {name: (math.sqrt(sums[0]), math.sqrt(sums[1])) for name, sums in squares.items()}


def epoch_record(
    tally: EpochTally, paths: Sequence[str], *, epoch: int, validation_loss: float, learning_rate: float, n_retries: int,
    batch_size: int, scored_s: float,
) -> EpochRecord:  # fmt: skip
    """The record of an epoch from its sums; `scored_s` seconds went into validation."""
    n_kept, duration_s = max(1, tally.n_kept), max(tally.duration_s, 1e-9)
    return EpochRecord(
        epoch=epoch,
        train_loss=tally.loss_sum / n_kept,
        validation_loss=validation_loss,
        learning_rate=learning_rate,
        duration_s=round(tally.duration_s + scored_s, 2),
        windows_per_s=round(tally.n_steps * batch_size / duration_s, 1),
        gradient_norm=tally.norm_sum / n_kept,
        gradient_norm_max=tally.norm_max,
        clipped_gradient_norm=tally.clipped_norm_sum / n_kept,
        clipped_ratio=tally.n_clipped / n_kept,
        n_skipped_steps=tally.n_skipped,
        loss_scale=tally.loss_scale,
        n_retries=n_retries,
        cpu_use=round(tally.cpu_s / duration_s, 3),
        gpu_use=gpu_use(),
        layer_norms=layer_norms(paths, tally),
    )


def say_epoch(record: EpochRecord, n_epochs: int) -> str:
    """An epoch in one line."""
    validated = "" if math.isnan(record.validation_loss) else f", validation loss {record.validation_loss:.4f}"
    return (
        f"epoch {record.epoch}/{n_epochs}: train loss {record.train_loss:.4f}{validated}, {record.duration_s:.1f} s, "
        f"{record.windows_per_s:,.0f} windows/s, gradient norm {record.gradient_norm:.3g} "
        f"({100.0 * record.clipped_ratio:.0f} % clipped)"
    )


class Stopwatch:
    """Seconds and CPU seconds of this process."""

    def __init__(self) -> None:
        """Start."""
        self._began = (time.monotonic(), time.process_time())

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began[0]

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the start."""
        return time.process_time() - self._began[1]


def gpu_use() -> float | None:
    """Share of the last moments in which the first NVIDIA GPU computed, or none where there is no NVML."""
    library = _nvml()
    if library is None:
        return None
    handle, rates = ctypes.c_void_p(), (ctypes.c_uint * 2)()
    if library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)):
        return None
    return None if library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) else rates[0] / 100.0


@cache
def _nvml() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library
