"""How far the answers of one model are from those that another gives to the same windows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FLOOR_RATIO = 0.05
"""Least size of a window, as a share of the mean of all: where forecasts are about zero, any difference would be large."""

Quantiles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DifferenceReport:
    """Absolute differences between answers, as shares of the mean absolute value expected.

    largest, mean: over all windows together. window_largest, window_mean: over each window alone, as a share of its own size, of the
    window where it is largest; window: its number.
    """

    largest: float
    mean: float
    window_largest: float
    window_mean: float
    window: int


def differences(found: Quantiles, expected: Quantiles) -> DifferenceReport:
    """Compare answers `[N,H,A]` to the same windows.

    What is expected to be NaN, as where nothing of the past is known, is not looked at; NaN where a number is expected makes
    everything NaN.

    Args:
        found: Of the model that is compared.
        expected: Of the one that it should be.
    """
    known = np.isfinite(expected)
    if not known.any():
        return DifferenceReport(0.0, 0.0, 0.0, 0.0, 0)
    wanted = np.where(known, expected, 0.0).astype(np.float64)
    apart = np.where(known, np.abs(found.astype(np.float64) - wanted), 0.0)
    size = np.abs(wanted).sum() / known.sum() or 1.0
    axes = tuple(range(1, apart.ndim))
    n = np.maximum(known.sum(axis=axes), 1)
    sizes = np.maximum(np.abs(wanted).sum(axis=axes) / n, FLOOR_RATIO * size)
    means = apart.sum(axis=axes) / n / sizes
    return DifferenceReport(
        largest=float(apart.max() / size),
        mean=float(apart.sum() / known.sum() / size),
        window_largest=float((apart.max(axis=axes) / sizes).max()),
        window_mean=float(means.max()),
        window=int(np.argmax(means)),
    )
