"""The forecast that deploy_model asks of the running server and report_run shows: contents of forecast.json."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.features.spec import FeatureSpec

N_SEASONS = 7
"""Seasons of history that are shown before a forecast."""


@dataclass(frozen=True)
class SeriesForecastRecord:
    """One series. Times are UTC epoch seconds; missing values are None; quantiles are `[H][Q]`, mean `[H]` where there is one."""

    id: str
    history_timestamps: tuple[int, ...]
    history: tuple[float | None, ...]
    timestamps: tuple[int, ...]
    actuals: tuple[float | None, ...]
    quantiles: tuple[tuple[float, ...], ...]
    levels: tuple[float, ...]
    mean: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ForecastRecord:
    """Contents of forecast.json. `origin` is the first forecast step; the answer shown is gRPC's.

    grpc_rest_max_difference: largest difference between the two answers, in the target's unit;
    grpc_rest_difference_ratio: the same as a share of the mean absolute point forecast.
    """

    model: str
    version: int
    target: str
    step_s: int
    origin: int
    series: tuple[SeriesForecastRecord, ...]
    grpc_rest_max_difference: float
    grpc_rest_difference_ratio: float

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def shown_history(timestamps: npt.NDArray[np.int64], spec: FeatureSpec, origin: int) -> npt.NDArray[np.bool_]:
    """Which steps `[T]` of a series are shown before a forecast from `origin`."""
    first = origin - N_SEASONS * min(spec.seasons) * spec.step_s
    return (timestamps >= first) & (timestamps < origin)
