"""Complete the model's answers by the fallback, series by series."""

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError, NoForecastError
from forecasting.answering.fallback import FallbackCause, fallback_answer, steps_read
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.inputs import WindowFlags, model_inputs, window_flags
from forecasting.answering.iso_time import iso_time
from forecasting.answering.plan import PlanSpec, SkippedRecord
from forecasting.answering.request import ForecastRequest

BATCH = 512
"""Series of which windows are cut at once."""
_CLIENTS = (FallbackCause.QUARANTINE, FallbackCause.COLD)
"""Causes of which a client can be told to ask for another origin; of the others the server is at fault."""


def filled(
    plan: PlanSpec, answers: npt.NDArray[np.float32] | None, flags: WindowFlags | None, request: ForecastRequest
) -> ForecastsRecord:
    """Forecasts of all series of a plan that the model or the fallback can answer.

    Args:
        plan: N series.
        answers: Of the model `[N,H,A]`, not finite for what is degraded; none where it was not asked.
        flags: Of the windows that it was asked with; none likewise.
        request: What was asked for.

    Raises:
        AnswerError: A degraded series has no past, and is named by the request or the only one; the fallback is refused.
    """
    spec = plan.served.spec
    found = (
        np.full((len(plan), spec.horizon, plan.served.signature.n_columns), np.nan, np.float32)
        if answers is None
        else answers
    )
    imputed, stale = _flags(plan, flags)
    without: list[int] = []
    for place in sorted(plan.degraded):
        row = _stand_in(plan, place, request)
        if row is None:
            without.append(place)
        else:
            found[place] = row
    named = request.series is not None or request.given is not None
    if without and named:
        raise _no_past(plan, without[0])
    skipped = [SkippedRecord(plan.ids[place], str(_no_past(plan, place))) for place in without]
    if len(without) == len(plan):
        every = {one.series: one.reason for one in (*plan.skipped, *skipped)}
        raise NoForecastError(503, f"no series can be forecast; {skipped[0].reason}", every)
    if without:
        kept = np.setdiff1d(np.arange(len(plan)), np.array(without, dtype=np.int64))
        plan, found, imputed, stale = plan.take(kept), found[kept], imputed[kept], stale[kept]
    return ForecastsRecord(
        served=plan.served,
        ids=plan.ids,
        origins=plan.origins,
        answers=found,
        levels=request.quantiles or spec.quantiles,
        degraded=plan.degraded,
        limited_by=plan.limited_by,
        imputed=imputed,
        stale=stale,
        skipped=tuple(sorted((*plan.skipped, *skipped), key=lambda one: one.series)),
    )


def _stand_in(plan: PlanSpec, place: int, request: ForecastRequest) -> npt.NDArray[np.float32] | None:
    why = plan.degraded[place]
    if not request.fallback:
        code = 400 if why.cause in _CLIENTS else 502
        text = f"series {plan.ids[place]!r}: {why.reason}, and the fallback is refused"
        raise AnswerError(code, text, series=plan.ids[place])
    spec = plan.served.spec
    return fallback_answer(plan.past(place, n_steps=steps_read(spec)), spec, int(plan.origins[place]))


def _flags(plan: PlanSpec, known: WindowFlags | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which histories are imputed and which stale; known are those of the series that are not degraded."""
    imputed, stale = (np.zeros(len(plan), dtype=np.bool_) for _ in range(2))
    if known is not None:
        imputed, stale = known.imputed.copy(), known.stale.copy()
    if not plan.degraded:
        return imputed, stale
    places = np.array(sorted(plan.degraded), dtype=np.int64)
    some = plan.take(places)
    for first in range(0, len(places), BATCH):
        end = min(first + BATCH, len(places))
        found = window_flags(some, model_inputs(some, first, end))
        imputed[places[first:end]], stale[places[first:end]] = found.imputed, found.stale
    return imputed, stale


def _no_past(plan: PlanSpec, place: int) -> AnswerError:
    series_id, why = plan.ids[place], plan.degraded[place]
    text = (
        f"series {series_id!r} has no target before {iso_time(int(plan.origins[place]))}, "
        f"so that the fallback cannot stand in; {why.reason}"
    )
    return AnswerError(400 if why.cause in _CLIENTS else 503, text, series=series_id)
