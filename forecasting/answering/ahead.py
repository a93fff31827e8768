"""Known covariates of every horizon: from the store, from observations, from the request."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows
from forecasting.answering.iso_time import iso_time
from forecasting.answering.known import known_ahead
from forecasting.answering.plan import DegradedSpec, PlanSpec
from forecasting.answering.request import ForecastRequest
from forecasting.answering.wanted import WantedSpec

Integers = npt.NDArray[np.int64]


def known_of_horizons(
    wanted: WantedSpec, origins: Integers, given: GivenRows | None, given_of: Integers
) -> npt.NDArray[np.float32]:
    """Known covariates of every horizon as the store and the given rows have them, NaN where missing `[N,H,K]`."""
    block, spec, rows = wanted.served.block, wanted.served.spec, wanted.rows
    ahead = np.full((len(rows), spec.horizon, len(spec.known)), np.nan, dtype=np.float32)
    if not spec.known:
        return ahead
    n_before = len(spec.value_columns) - len(spec.known)
    step = ((origins - wanted.start) // spec.step_s)[:, None] + np.arange(spec.horizon)
    inside = (rows >= 0)[:, None] & (step >= 0) & (step < block.n_steps[rows][:, None])
    ahead[inside] = block.values[(block.offset[rows][:, None] + step)[inside], n_before:]
    _issue(wanted, origins, ahead)
    if given is not None:
        place = (given.time - origins[given_of]) // spec.step_s
        in_horizon = (place >= 0) & (place < spec.horizon)
        for k, name in enumerate(spec.known):
            if (column := given.columns.get(name)) is not None:
                taken = in_horizon & np.isfinite(column)
                ahead[given_of[taken], place[taken], k] = column[taken]
    return ahead


def _issue(wanted: WantedSpec, origins: Integers, ahead: npt.NDArray[np.float32]) -> None:
    """Put what was issued up to each origin in the place of what stood later; what series share is looked up once."""
    block, spec = wanted.served.block, wanted.served.spec
    seen: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    for i, row in enumerate(wanted.rows.tolist() if block.vintages else ()):
        if row < 0 or (vintages := block.vintages.get(row)) is None:
            continue
        key = (id(vintages), int(origins[i]))
        if key not in seen:
            seen[key] = vintages.known_at(origins[i : i + 1], spec.horizon, spec.step_s)[0]
        for j, name in enumerate(vintages.columns):
            if name in spec.known:
                ahead[i, :, spec.known.index(name)] = seen[key][:, j]


def give_known(plan: PlanSpec, request: ForecastRequest, refused: dict[int, AnswerError]) -> None:
    """Lay what `known` has over the horizons."""
    if not request.known:
        return
    spec, place = plan.served.spec, {one: i for i, one in enumerate(plan.ids)}
    for series_id, columns in request.known.items():
        i = place[series_id]
        if i in refused:
            continue
        for name, values in known_ahead(columns, series_id, spec, int(plan.origins[i])).items():
            is_given = np.isfinite(values)
            plan.ahead[i, is_given, spec.known.index(name)] = values[is_given]


def refuse_uncovered(plan: PlanSpec, refused: dict[int, AnswerError], degraded: Mapping[int, DegradedSpec]) -> None:
    """Refuse horizons of which a known covariate is missing."""
    spec = plan.served.spec
    missing = ~np.isfinite(plan.ahead)
    for i in np.flatnonzero(missing.any(axis=(1, 2))) if missing.any() else ():
        if int(i) in refused or int(i) in degraded:
            continue
        k = int(np.argmax(missing[i].any(axis=0)))
        origin, place = int(plan.origins[i]), int(np.argmax(missing[i, :, k]))
        time, series_id = iso_time(origin + spec.step_s * place), plan.ids[i]
        text = (
            f"series {series_id!r}: the known covariate {spec.known[k]!r} is missing at {time}, in the horizon of "
            f"{iso_time(origin)}; it can be given under 'known'"
        )
        refused[int(i)] = AnswerError(400, text, series=series_id, column=spec.known[k], place=time)
