"""Which windows answer a request, and which series cannot be forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from forecasting.windows import ModelInputs, stack_inputs, window_inputs
from serving.gateway.answers import AnswerError, iso_time
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.origins import choose_origin
from serving.gateway.served_model import ServedModel


@dataclass(frozen=True)
class WindowSpec:
    """One series and the first step of its forecast, epoch seconds."""

    series: Series
    origin: int


@dataclass(frozen=True)
class SkippedRecord:
    """A series that cannot be forecast, and why."""

    series: str
    reason: str


@dataclass(frozen=True)
class PlanSpec:
    """What a request comes to."""

    windows: tuple[WindowSpec, ...]
    skipped: tuple[SkippedRecord, ...]


def plan_windows(served: ServedModel, request: ForecastRequest) -> PlanSpec:
    """Windows of the series asked for.

    Where all series are asked for, those that cannot be forecast are skipped; where they are named,
    the first of them refuses the request.

    Raises:
        AnswerError: 404 for an unknown series, 400 where a named series, or no series at all, can be forecast.
    """
    windows, skipped = [], []
    for series in served.pick(request.series):
        try:
            windows.append(_plan_window(series, served.spec, request))
        except AnswerError as error:
            if request.series is not None:
                raise
            skipped.append(SkippedRecord(series.id, str(error)))
    if not windows:
        reason = f"; {skipped[0].reason}" if skipped else ""
        raise AnswerError(400, f"none of the {len(skipped)} series can be forecast{reason}")
    return PlanSpec(tuple(windows), tuple(skipped))


def batch_inputs(windows: Sequence[WindowSpec], spec: FeatureSpec) -> ModelInputs:
    """Model inputs of some windows."""
    return stack_inputs([window_inputs(one.series, spec, np.array([one.origin])) for one in windows])


def _plan_window(series: Series, spec: FeatureSpec, request: ForecastRequest) -> WindowSpec:
    origin = choose_origin(series, spec, request.origin)
    first = (origin - series.start) // spec.step_s
    for index, name in enumerate(spec.known, start=series.values.shape[1] - len(spec.known)):
        present = np.isfinite(series.values[first : first + spec.horizon, index])
        if not present.all():
            missing = origin + spec.step_s * int(np.flatnonzero(~present)[0])
            raise AnswerError(
                400,
                f"series {series.id!r}: the known covariate {name!r} is missing at {iso_time(missing)}, "
                f"in the horizon of {iso_time(origin)}",
            )
    return WindowSpec(series, origin)
