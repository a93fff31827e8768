"""Measures of a variant: size, compressed size, latency of one forecast, difference from another model."""

import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs

N_LATENCY_RUNS = 100
N_WARMUP_RUNS = 5


@dataclass(frozen=True)
class LatencyReport:
    """Wall milliseconds of single forecasts in this process; forecasts_per_s: of one after the other."""

    p50_ms: float
    p99_ms: float
    forecasts_per_s: float


def measure_latency(predictor: Predictor, windows: ModelInputs) -> LatencyReport:
    """Latency of one forecast at a time, over different windows."""
    for n in range(N_WARMUP_RUNS):
        predictor.predict(windows[n % len(windows) : n % len(windows) + 1])
    times_ms = []
    for n in range(N_LATENCY_RUNS):
        window = windows[n % len(windows) : n % len(windows) + 1]
        began = time.perf_counter()
        predictor.predict(window)
        times_ms.append(1e3 * (time.perf_counter() - began))
    return LatencyReport(
        p50_ms=round(float(np.percentile(times_ms, 50)), 4),
        p99_ms=round(float(np.percentile(times_ms, 99)), 4),
        forecasts_per_s=round(1e3 * len(times_ms) / sum(times_ms), 1),
    )


def parity_ratios(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Largest and mean absolute difference as shares of the mean absolute expected value."""
    size = float(np.mean(np.abs(expected))) or 1.0
    difference = np.abs(found.astype(np.float64) - expected)
    return float(difference.max()) / size, float(difference.mean()) / size


def file_sizes(path: Path) -> tuple[int, int]:
    """Size of a file and of its zlib compression, bytes."""
    content = path.read_bytes()
    return len(content), len(zlib.compress(content, level=6))


def directory_sizes(directory: Path) -> tuple[int, int]:
    """Sizes of all files below a directory together, bytes."""
    sizes = [file_sizes(path) for path in sorted(directory.rglob("*")) if path.is_file()]
    return sum(size for size, _ in sizes), sum(compressed for _, compressed in sizes)
