"""The features of a whole series at once, where the job makes them in pieces."""

import numpy as np
import numpy.typing as npt

from components.features.horizons import horizon_pieces
from components.features.planes import plane_pieces
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series


def feature_planes(series: Series, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """Features of every step of a series, and of a context of missing steps before its first.

    The lead makes a window that begins before its series the same here as in the served model,
    calendar included, and keeps it away from the series before it in the store.

    Args:
        series: Values `[T, 1 + observed + known]`.
        spec: Feature spec.

    Returns:
        float32 `[context + T, past + known]`, columns as in `forecasting.features.transform.feature_blocks`.
    """
    lead = np.full((spec.context, series.values.shape[1]), np.nan)
    start = series.start - spec.context * spec.step_s
    return np.concatenate(list(plane_pieces(np.concatenate([lead, series.values]), series.id, start, spec, n_before=0)))


def horizon_planes(series: Series, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """Features of the horizon as an origin at each step of a series knew it.

    Args:
        series: Values `[T, 1 + observed + known]` and vintages.
        spec: Feature spec.

    Returns:
        float32 `[T,H,V]`, columns as in `forecasting.features.transform.vintage_places`.
    """
    return np.concatenate(list(horizon_pieces(series, spec, n_before=0)))
