"""From which origin each series of a request is forecast, and what is known of its horizon; N series at once.

Arrays carry what nearly all series have in common; only a series that is refused, in quarantine or given covariates by
name costs Python steps of its own.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from forecasting.answering.ahead import give_known, known_of_horizons, refuse_uncovered
from forecasting.answering.answer_error import AnswerError, NoForecastError
from forecasting.answering.fallback import FallbackCause
from forecasting.answering.given import check_columns
from forecasting.answering.laid_rows import lay_rows
from forecasting.answering.observed import ObservedRows
from forecasting.answering.origins_wanted import following_steps, limits_of, reached_origins, wanted_origins
from forecasting.answering.plan import DegradedSpec, PlanSpec, SkippedRecord
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.answering.wanted import WantedSpec, check_wanted_known, wanted_series


def plan_forecasts(served: ServedModel, request: ForecastRequest, observed: ObservedRows | None = None) -> PlanSpec:
    """Where each series asked for is forecast: at the origin asked for, else the latest that has all it needs.

    A series in quarantine is left to the fallback where the request allows it. Where all series are asked for,
    those that cannot be forecast are skipped; one that is named, under `series`, `history` or `known`, refuses the request.
    What was observed since the version was made goes before what is stored with it, and the request before both.

    Raises:
        AnswerError: 404 for an unknown series; 400 where a named series or all cannot be forecast, or
            `history` or `known` does not fit the model.
    """
    given = None if request.given is None else request.given.at_step(served.spec.step_s)
    if given is not None:
        check_columns(given, served.spec)
    ids, rows = wanted_series(served, request, given, observed)
    check_wanted_known(served, request, ids)
    laid = lay_rows(served, ids, rows, given, None if observed is None else observed.take(ids))
    start, static, rows_given, given_of = laid.start, laid.static, laid.rows, laid.of
    has_own = laid.has_own
    if request.known:
        has_own = has_own | np.array([one in request.known for one in ids])
    following = following_steps(served, rows, rows_given, given_of)
    wanted = WantedSpec(served, request, ids, rows, start, has_own, laid.has_seen, following, following)
    if request.origin is None and request.cutoff is None and laid.has_seen.any():
        wanted = replace(wanted, reached=reached_origins(wanted, rows_given, given_of))
    origins, refused = wanted_origins(wanted)
    refused |= laid.refused
    ahead = known_of_horizons(wanted, origins, rows_given, given_of)
    plan = PlanSpec(served, ids, rows, start, origins, ahead, static, rows_given, given_of)
    give_known(plan, request, refused)
    degraded = _quarantined(wanted, refused)
    refuse_uncovered(plan, refused, degraded)
    named = set(ids) if request.series is not None or given is not None else set(request.known)
    return _without_refused(replace(plan, limited_by=limits_of(wanted, origins), degraded=degraded), refused, named)


def _quarantined(wanted: WantedSpec, refused: dict[int, AnswerError]) -> dict[int, DegradedSpec]:
    block, found = wanted.served.block, {}
    for i in np.flatnonzero(block.apart[wanted.rows] & (wanted.rows >= 0)) if block.apart.any() else ():
        series_id = wanted.ids[i]
        reason = wanted.served.quarantine[series_id]
        if not wanted.request.fallback:
            text = f"series {series_id!r} is in quarantine and the fallback is refused: {reason}"
            refused[int(i)] = AnswerError(400, text, series=series_id)
        found[int(i)] = DegradedSpec(FallbackCause.QUARANTINE, f"the series is in quarantine: {reason}")
    return found


def _without_refused(plan: PlanSpec, refused: Mapping[int, AnswerError], named: set[str]) -> PlanSpec:
    for place in sorted(refused):
        if plan.ids[place] in named:
            raise refused[place]
    if not refused and len(plan):
        return plan
    skipped = tuple(SkippedRecord(plan.ids[place], str(refused[place])) for place in sorted(refused))
    if len(skipped) == len(plan):
        reason = f"; {skipped[0].reason}" if skipped else ""
        text = f"none of the {len(skipped)} series can be forecast{reason}"
        raise NoForecastError(400, text, {one.series: one.reason for one in skipped})
    kept = np.setdiff1d(np.arange(len(plan)), np.fromiter(refused, dtype=np.int64), assume_unique=True)
    return replace(plan.take(kept), skipped=skipped)
