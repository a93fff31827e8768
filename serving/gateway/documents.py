"""The body of an answer to `POST /v1/forecast`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec
from serving.gateway.plan import SkippedRecord, WindowSpec
from serving.gateway.served_model import ServedModel


def forecast_document(
    served: ServedModel,
    windows: Sequence[WindowSpec],
    answers: npt.NDArray[np.float32],
    *,
    skipped: Sequence[SkippedRecord],
    levels: Sequence[float],
) -> dict[str, Any]:
    """Forecasts by series, each with where it comes from.

    Args:
        served: The version asked.
        windows: N of them.
        answers: All levels of the model, then its mean where it has one `[N,H,A]`.
        skipped: Series without a forecast.
        levels: Levels to give.
    """
    steps = served.spec.step_s * np.arange(served.spec.horizon, dtype=np.int64)
    origins = np.array([window.origin for window in windows])
    stamps = np.datetime_as_string((origins[:, None] + steps).astype("datetime64[s]"), timezone="UTC")
    return {
        "model": served.name,
        "version": served.version,
        "target": served.spec.target,
        "step_s": served.spec.step_s,
        "forecasts": [
            {
                "series": window.series.id,
                "origin": str(stamps[i, 0]),
                "limited_by": window.limited_by or None,
                "degraded": window.degraded is not None,
                "reason": None if window.degraded is None else window.degraded.reason,
                "timestamps": stamps[i].tolist(),
                **_values(answers[i], served.spec, levels),
            }
            for i, window in enumerate(windows)
        ],
        "skipped": [asdict(one) for one in skipped],
    }


def _values(answer: npt.NDArray[np.float32], spec: FeatureSpec, levels: Sequence[float]) -> dict[str, Any]:
    """Point, mean where the model has one, and levels of one series `[H,A]`, each a list."""
    columns = {level: np.ascontiguousarray(answer[:, i]) for i, level in enumerate(spec.quantiles)}
    mean = {"mean": np.ascontiguousarray(answer[:, -1])} if spec.mean else {}
    return {"point": columns[POINT_QUANTILE], **mean, "quantiles": {f"{level:g}": columns[level] for level in levels}}
