"""Quantiles that cross: a lower level above a higher one."""

from typing import Any

import numpy as np
import numpy.typing as npt

_TOLERANCE = 1e-6
"""Of the size of a quantile: what float32 rounds off."""


def is_crossed(quantiles: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Whether quantiles `[...,Q]`, by ascending level, fall by more than float32 rounds off `[...]`; NaN crosses nothing."""
    # Quantiles that differ by more than float32 holds are still told apart: the difference is infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        falls = np.diff(quantiles, axis=-1) < -_TOLERANCE * np.abs(quantiles[..., 1:])
    crossed: npt.NDArray[np.bool_] = falls.any(axis=-1)
    return crossed
