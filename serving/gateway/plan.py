"""Which windows answer a request, and which series cannot be forecast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from forecasting.windows import ModelInputs, known_at_origins, stack_inputs, window_inputs
from serving.gateway.answers import AnswerError, iso_time
from serving.gateway.fallback import FallbackCause
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.known import AheadValues, check_known, known_ahead
from serving.gateway.origins import choose_given_origin, choose_origin, choose_past_origin, next_origin
from serving.gateway.served_model import ServedModel


@dataclass(frozen=True)
class WindowSpec:
    """One series and the first step of its forecast, epoch seconds.

    known: values `[H]` by column, from the request, NaN where none was given. limited_by: why the forecast does not start after the
    last target although no origin was asked for; empty where it does. degraded: why the fallback answers and
    not the model; none where the model does.
    """

    series: Series
    origin: int
    known: AheadValues = field(default_factory=dict)
    limited_by: str = ""
    degraded: "DegradedSpec | None" = None


@dataclass(frozen=True)
class DegradedSpec:
    """Why the fallback answers: the cause that is counted, and the reason in words."""

    cause: FallbackCause
    reason: str


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
    """Windows of the series asked for, each at the origin asked for, else the latest that has all it needs.

    A series in quarantine is left to the fallback where the request allows it. Where all series are asked for,
    those that cannot be forecast are skipped; one that is named, under `series` or `known`, refuses the request.

    Raises:
        AnswerError: 404 for an unknown series; 400 where a named series or all cannot be forecast, or
            `known` does not fit the model.
    """
    _check_known(served, request)
    windows, skipped = [], []
    for series in served.pick(request.series):
        try:
            windows.append(_plan_series(series, served, request))
        except AnswerError as error:
            if request.series is not None or series.id in request.known:
                raise
            skipped.append(SkippedRecord(series.id, str(error)))
    if not windows:
        reason = f"; {skipped[0].reason}" if skipped else ""
        raise AnswerError(400, f"none of the {len(skipped)} series can be forecast{reason}")
    return PlanSpec(tuple(windows), tuple(skipped))


def batch_inputs(windows: Sequence[WindowSpec], spec: FeatureSpec) -> ModelInputs:
    """Model inputs of some windows."""
    return stack_inputs([_window_inputs(window, spec) for window in windows])


def _window_inputs(window: WindowSpec, spec: FeatureSpec) -> ModelInputs:
    inputs = window_inputs(window.series, spec, np.array([window.origin]))
    for name, values in window.known.items():
        is_given = np.isfinite(values)
        inputs.future[0, is_given, spec.known.index(name)] = values[is_given]
    return inputs


def _check_known(served: ServedModel, request: ForecastRequest) -> None:
    spec = served.spec
    served.pick(list(request.known))
    for series_id, columns in request.known.items():
        if request.series is not None and series_id not in request.series:
            raise AnswerError(400, f"'known' names series {series_id!r}, which 'series' does not ask for")
        check_known(series_id, columns, spec)


def degrade(plan: PlanSpec, why: DegradedSpec) -> PlanSpec:
    """The plan with the windows of the model left to the fallback."""
    return replace(plan, windows=tuple(one if one.degraded else replace(one, degraded=why) for one in plan.windows))


def _plan_series(series: Series, served: ServedModel, request: ForecastRequest) -> WindowSpec:
    reason = served.quarantine.get(series.id)
    if reason is None:
        return _plan_window(series, served.spec, request)
    if not request.fallback:
        raise AnswerError(400, f"series {series.id!r} is in quarantine and the fallback is refused: {reason}")
    origin = choose_past_origin(series, served.spec, request.origin, cutoff=served.cutoff)
    why = DegradedSpec(FallbackCause.QUARANTINE, f"the series is in quarantine: {reason}")
    return WindowSpec(series, origin, degraded=why)


def _plan_window(series: Series, spec: FeatureSpec, request: ForecastRequest) -> WindowSpec:
    given = request.known.get(series.id)
    if given is None:
        origin = choose_origin(series, spec, request.origin)
    else:
        origin = choose_given_origin(series, spec, request.origin)
    known = known_ahead(given or {}, series, spec, origin)
    for name, missing in _missing_ahead(series, spec, origin, known):
        raise AnswerError(
            400,
            f"series {series.id!r}: the known covariate {name!r} is missing at {iso_time(missing)}, in the horizon of "
            f"{iso_time(origin)}; it can be given under 'known'",
        )
    limited = request.origin is None and given is None
    return WindowSpec(series, origin, known, _limit(series, spec, origin) if limited else "")


def _missing_ahead(series: Series, spec: FeatureSpec, origin: int, known: AheadValues) -> Iterator[tuple[str, int]]:
    """Column and first missing time of the known covariates that were not known at the origin and are not given."""
    stored = np.isfinite(known_at_origins(series, spec, np.array([origin]))[0])
    for index, name in enumerate(spec.known):
        present = stored[:, index]
        if name in known:
            present = present | np.isfinite(known[name])
        if not present.all():
            yield name, origin + spec.step_s * int(np.argmin(present))


def _limit(series: Series, spec: FeatureSpec, origin: int) -> str:
    following = next_origin(series, spec)
    if following is None or origin >= following:
        return ""
    end = origin + (spec.horizon - 1) * spec.step_s
    return (
        f"known covariates end at {iso_time(end)}; "
        f"with their values under 'known' of the request the forecast starts at {iso_time(following)}"
    )
