"""`batch_size: auto`: try sizes, each twice the one before, within a memory limit.

On a GPU memory is what binds: the largest size that fits is taken. On a CPU larger batches fall out of the
caches: the smallest size is taken that is nearly as fast as the fastest. The choice is measured, so it is
kept beside the checkpoints: a resumed training has the size that it began with.
"""

import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.manifests import write_text_atomically
from forecasting.memory_limit import memory_limit_bytes
from forecasting.neural.batches import window_gather
from forecasting.neural.feed import WindowFeed
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from forecasting.neural.strategy import worker_place

logger = logging.getLogger(__name__)

SMALLEST, LARGEST = 32, 8_192
MIN_STEPS_PER_EPOCH = 8
"""A size that leaves fewer steps in an epoch is not tried."""
NEARLY = 0.95
"""Share of the fastest speed that is fast enough."""
_TIMED_S = 1.0
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(frozen=True)
class SizeReport:
    """One size: windows per second and peak memory in MiB, none where it did not fit."""

    batch_size: int
    windows_per_s: float | None
    peak_mib: float | None


@dataclass(frozen=True)
class BatchSizeReport:
    """The size that was chosen, and what was tried."""

    chosen: int
    tried: tuple[SizeReport, ...]


def settle_batch_size(
    spec: NetworkSpec, training: TrainingConfig, strategy: tf.distribute.Strategy, store: FeatureStore,
    windows: WindowIndex, kept: Path,
) -> TrainingConfig:  # fmt: skip
    """The settings with a batch size that is a number.

    Args:
        spec: The network.
        training: The settings.
        strategy: The strategy.
        store: Feature store.
        windows: Windows to learn from.
        kept: File that keeps the choice.

    Raises:
        ConfigError: There are several workers, or not even the smallest size fits.
    """
    if training.batch_size != "auto":
        return training
    if worker_place(strategy)[1] > 1:
        raise ConfigError("training.batch_size must be a number where there are several workers, found auto")
    if kept.is_file():
        chosen = int(json.loads(kept.read_text(encoding="utf-8"))["chosen"])
    else:
        report = try_batch_sizes(spec, training, strategy, store, windows)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(kept, json.dumps(asdict(report), indent=1))
        logger.info("batch size %d, of %s", report.chosen, ", ".join(_say(one) for one in report.tried))
        chosen = report.chosen
    return training.model_copy(update={"batch_size": chosen})


def try_batch_sizes(
    spec: NetworkSpec, training: TrainingConfig, strategy: tf.distribute.Strategy, store: FeatureStore,
    windows: WindowIndex,
) -> BatchSizeReport:  # fmt: skip
    """Measure sizes until one does not fit, or there are too few windows for more.

    Raises:
        ConfigError: Not even the smallest size fits.
    """
    limit = training.memory_limit_mib or _free_mib() / 2
    tried: list[SizeReport] = []
    for size in _sizes(len(windows), strategy.num_replicas_in_sync):
        if tried and _expected_mib(tried) > limit:
            break
        tried.append(_measure(spec, training.model_copy(update={"batch_size": size}), strategy, store, windows))
        peak = tried[-1].peak_mib
        if peak is None or peak > limit:
            break
    fitting = [one for one in tried if one.peak_mib is not None and one.peak_mib <= limit]
    if not fitting:
        raise ConfigError(
            f"training.batch_size auto found no size that fits into {limit:,.0f} MiB "
            f"({', '.join(_say(one) for one in tried)}); raise training.memory_limit_mib or take a smaller model"
        )
    if tf.config.list_logical_devices("GPU"):
        return BatchSizeReport(fitting[-1].batch_size, tuple(tried))
    fastest = max(one.windows_per_s or 0.0 for one in fitting)
    chosen = next(one for one in fitting if (one.windows_per_s or 0.0) >= NEARLY * fastest)
    return BatchSizeReport(chosen.batch_size, tuple(tried))


def _sizes(n_windows: int, n_replicas: int) -> Iterator[int]:
    size = SMALLEST * n_replicas
    while size <= LARGEST * n_replicas and (size == SMALLEST * n_replicas or size * MIN_STEPS_PER_EPOCH <= n_windows):
        yield size
        size *= 2


def _expected_mib(tried: list[SizeReport]) -> float:
    """Peak of twice the last size: what the last doubling added is added twice."""
    last = tried[-1].peak_mib or math.inf
    before = (tried[-2].peak_mib or 0.0) if len(tried) > 1 else last
    return last + 2.0 * max(0.0, last - before)


def _measure(
    spec: NetworkSpec, training: TrainingConfig, strategy: tf.distribute.Strategy, store: FeatureStore,
    windows: WindowIndex,
) -> SizeReport:  # fmt: skip
    """Speed and peak memory of some steps after the first, which compiles."""
    size = training.windows_per_step
    loop = TrainingLoop(spec, training, strategy)
    feed = WindowFeed(window_gather(store, windows), strategy, size)
    order = np.random.default_rng(training.seed).integers(0, len(windows), 1_000 * size, dtype=np.int32)
    reset_peak()
    n_steps, began = 0, time.monotonic()
    try:
        for number, batch in enumerate(feed.batches(order)):
            loop.step.train(batch.tensors, training.learning_rate, number).numpy()
            n_steps = number
            if number == 0:
                began = time.monotonic()
            elif time.monotonic() - began > _TIMED_S:
                break
    except tf.errors.ResourceExhaustedError:
        return SizeReport(size, None, None)
    speed = n_steps * size / max(time.monotonic() - began, 1e-9)
    return SizeReport(size, round(speed, 1), round(peak_mib(), 1))


def reset_peak() -> None:
    """Let the peak memory of this process, or of its first GPU, begin at what it uses now."""
    if tf.config.list_logical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")
    elif _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")


def peak_mib() -> float:
    """Peak memory in MiB since `reset_peak`: of the first GPU, else of this process."""
    if tf.config.list_logical_devices("GPU"):
        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 2**20
    return _status_mib("VmHWM")


def _status_mib(name: str) -> float:
    rows = [line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name)]
    return int(rows[0].split()[1]) / 1_024


def _free_mib() -> float:
    """Memory that is free for this process, what it has now included; in a container no more than that may have."""
    rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) for line in rows if line.startswith("MemAvailable"))
    limit = memory_limit_bytes()
    return min(free / 1_024 + _status_mib("VmRSS"), math.inf if limit is None else limit / 2**20)


def _say(one: SizeReport) -> str:
    if one.windows_per_s is None:
        return f"{one.batch_size}: does not fit"
    return f"{one.batch_size}: {one.windows_per_s:,.0f} windows/s, {one.peak_mib:,.0f} MiB"
