"""Compare answers and time single forecasts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LatencyReport:
    """Wall time of a single forecast, client and server on one machine, milliseconds.

    forecasts_per_s: of one client that asks for one forecast after the other.
    """

    p50_ms: float
    p99_ms: float
    n_requests: int
    forecasts_per_s: float


def difference_ratio(answers: list[Floats], levels: tuple[float, ...]) -> float:
    """Largest difference between any two of several answers, as a share of the mean absolute point forecast.

    Args:
        answers: Quantiles, then the mean where there is one `[B,H,A]`, of the same windows.
        levels: Quantile levels.

    Returns:
        NaN where an answer is not finite or the shapes differ, so that no limit can hold.
    """
    if len({answer.shape for answer in answers}) != 1 or not all(np.isfinite(answer).all() for answer in answers):
        return float("nan")
    stacked = np.stack(answers).astype(np.float64)
    largest = float((stacked.max(axis=0) - stacked.min(axis=0)).max())
    size = float(np.abs(stacked[0][..., levels.index(POINT_QUANTILE)]).mean())
    if size == 0:
        return 0.0 if largest == 0 else float("nan")
    return largest / size


def measure_latency(ask: Callable[[], object], *, n_requests: int, n_warmup: int = 10) -> LatencyReport:
    """Time calls one after the other."""
    for _ in range(n_warmup):
        ask()
    durations = []
    for _ in range(n_requests):
        start = time.perf_counter()
        ask()
        durations.append(time.perf_counter() - start)
    p50, p99 = np.percentile(durations, [50, 99]) * 1e3
    return LatencyReport(float(p50), float(p99), n_requests, forecasts_per_s=n_requests / sum(durations))
