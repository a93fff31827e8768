"""Recalibration of quantiles on the validation period.

Neural quantiles fitted in sample are too narrow. One factor per level stretches the distance to
the median so that the level holds on validation: conformalised quantile regression with a
multiplicative score (Y. Romano, E. Patterson and E. Candès, NeurIPS 2019; D. Sesia and E. Candès,
"A comparison of some conformal quantile regression methods", 2020).
"""

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE

SMALLEST_FACTOR, LARGEST_FACTOR = 0.2, 5.0


def stretch_factors(target: npt.NDArray[np.float32], quantiles: npt.NDArray[np.float32], present: npt.NDArray[np.float32],
                    levels: tuple[float, ...]) -> tuple[float, ...]:  # fmt: skip
    """Factor of each level's distance to the median `[Q]`; 1 for the median itself.

    Args:
        target: `[W,H]`.
        quantiles: `[W,H,Q]`, ascending.
        present: `[W,H]`, 0 where the target is missing.
        levels: `[Q]` in (0, 1).
    """
    median = quantiles[:, :, levels.index(POINT_QUANTILE)]
    factors = []
    for j, level in enumerate(levels):
        gap = quantiles[:, :, j] - median
        usable = (present > 0) & (np.abs(gap) > 1e-9)
        if level == POINT_QUANTILE or not usable.any():
            factors.append(1.0)
            continue
        ratio = (target - median)[usable] / gap[usable]
        factor = float(np.quantile(ratio, level if level > POINT_QUANTILE else 1.0 - level))
        factors.append(float(np.clip(factor, SMALLEST_FACTOR, LARGEST_FACTOR)))
    return tuple(factors)
