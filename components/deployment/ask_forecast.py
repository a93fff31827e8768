"""Ask the running server for a forecast whose actuals are known, over both transports."""

import numpy as np
import numpy.typing as npt

from components.deployment.measures import difference_ratio
from components.deployment.probes import pick_series
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series, SeriesStore
from forecasting.served_forecast import ForecastRecord, SeriesForecastRecord, shown_history
from forecasting.windows import actuals, stack_inputs, window_inputs
from forecasting.wire.client import GrpcClient, RestClient

N_SERIES = 3


def ask_forecast(
    model: str, store: SeriesStore, spec: FeatureSpec, grpc: GrpcClient, rest: RestClient
) -> ForecastRecord:
    """Forecast up to three series at the last origin whose whole horizon lies before the cutoff.

    Raises:
        RemoteError: The server answers with an error.
    """
    origin = store.spec.split.cutoff - spec.horizon * spec.step_s
    chosen = pick_series(store, spec, origin, N_SERIES)
    inputs = stack_inputs([window_inputs(series, spec, np.array([origin])) for series in chosen]).as_dict()
    answer = grpc.predict(model, inputs)
    other = rest.predict(model, inputs).quantiles
    return ForecastRecord(
        model=model,
        version=answer.version or 0,
        target=spec.target,
        step_s=spec.step_s,
        origin=origin,
        series=tuple(_record(series, spec, origin, answer.quantiles[i]) for i, series in enumerate(chosen)),
        grpc_rest_max_difference=float(np.abs(answer.quantiles - other).max()),
        grpc_rest_difference_ratio=difference_ratio([answer.quantiles, other], spec.quantiles),
    )


def _record(series: Series, spec: FeatureSpec, origin: int, answer: npt.NDArray[np.float32]) -> SeriesForecastRecord:
    stamps = series.timestamps(spec.step_s)
    past = shown_history(stamps, spec, origin)
    return SeriesForecastRecord(
        id=series.id,
        history_timestamps=tuple(stamps[past].tolist()),
        history=_values(series.values[past, 0]),
        timestamps=tuple(origin + spec.step_s * step for step in range(spec.horizon)),
        actuals=_values(actuals(series, spec, np.array([origin]))[0]),
        quantiles=tuple(tuple(float(value) for value in row[: len(spec.quantiles)]) for row in answer),
        levels=spec.quantiles,
        mean=tuple(float(row[-1]) for row in answer) if spec.mean else None,
    )


def _values(column: npt.NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in column)
