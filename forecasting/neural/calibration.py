"""Recalibration of quantiles on the validation period.

Neural quantiles fitted in sample are too narrow. One factor per level stretches the distance to
the median so that the level holds on validation: conformalised quantile regression with a
multiplicative score (Y. Romano, E. Patterson and E. Candès, NeurIPS 2019; D. Sesia and E. Candès,
"A comparison of some conformal quantile regression methods", 2020). What comes next is more like the end
of that period than like its beginning, so its windows count by their age: R. Barber, E. Candès, A. Ramdas
and R. Tibshirani, "Conformal prediction beyond exchangeability" (Annals of Statistics, 2023).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.feature_store import FeatureStore, origin_times, validation_windows

SMALLEST_FACTOR, LARGEST_FACTOR = 0.2, 5.0


def recency_weights(origins: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weight of each window by its origin, int64 `[W]`: 1 for the last, half for one as old as the whole period."""
    age = origins.max() - origins
    weights: npt.NDArray[np.float64] = 0.5 ** (age / max(float(age.max()), 1.0))
    return weights


def calibration_factors(
    scored: Mapping[str, npt.NDArray[np.float32]], quantiles: npt.NDArray[np.float32], store: FeatureStore, *,
    calibrate: bool,
) -> tuple[float, ...]:  # fmt: skip
    """Factor of each level's distance to the median `[Q]`, from a network that has not learnt from the validation period.

    Args:
        scored: `target` and `present` `[W,H]` of all validation windows, as `predict_scaled` gives them.
        quantiles: What the network says of them `[W,H,Q]`.
        store: Feature store.
        calibrate: `model.calibrate`; without it all factors are 1.
    """
    levels = store.spec.quantiles
    if not calibrate:
        return (1.0,) * len(levels)
    weights = recency_weights(origin_times(store, validation_windows(store)))
    return stretch_factors(scored["target"], quantiles, scored["present"], levels, weights=weights)


def stretch_factors(target: npt.NDArray[np.float32], quantiles: npt.NDArray[np.float32], present: npt.NDArray[np.float32],
                    levels: tuple[float, ...], *, weights: npt.NDArray[np.float64]) -> tuple[float, ...]:  # fmt: skip
    """Factor of each level's distance to the median `[Q]`; 1 for the median itself.

    Args:
        target: `[W,H]`.
        quantiles: `[W,H,Q]`, ascending.
        present: `[W,H]`, 0 where the target is missing.
        levels: `[Q]` in (0, 1).
        weights: How much each window counts `[W]`.
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
        counts = np.broadcast_to(weights[:, None], target.shape)[usable]
        inside = level if level > POINT_QUANTILE else 1.0 - level
        factor = float(np.quantile(ratio, inside, weights=counts, method="inverted_cdf"))
        factors.append(float(np.clip(factor, SMALLEST_FACTOR, LARGEST_FACTOR)))
    return tuple(factors)
