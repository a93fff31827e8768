"""Errors of champion and candidate on what came, for the requests that both answered."""

from dataclasses import dataclass

import numpy as np

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.gates.rules import NAN
from forecasting.store.actuals import join_actuals
from forecasting.store.forecasts import ForecastFlag, ForecastQuery, ForecastRole, StoredForecastRecord, read_forecasts
from forecasting.store.opening import Store

AT_MOST = 2_000
"""Forecasts of a version that are read at once, and how many with an actual are enough."""
REQUESTS_AT_ONCE = 500
"""Requests whose champion forecasts are read by one statement."""
LOOKS = 24
"""How often earlier ones are read where too few have one: each time from the origins before."""


@dataclass(frozen=True)
class LiveErrorsReport:
    """Mean absolute errors on the same n_steps, in the target's unit; NaN where there are none."""

    n_steps: int
    champion_mae: float
    candidate_mae: float


def live_errors(store: Store, model: str, target: str, *, champion: int, candidate: int) -> LiveErrorsReport:
    """Compare two versions on the steps of which the actual is known.

    Args:
        store: Forecasts and observations.
        model: Name of the model.
        target: Column that was forecast.
        champion: Version that answered.
        candidate: Version that was asked beside it.

    Raises:
        RetryableError: The store cannot be used now.
    """
    ours: dict[tuple[str, str, int], float] = {}
    theirs: dict[tuple[str, str, int], float] = {}
    until: int | None = None
    for _ in range(LOOKS):
        # The latest ones have no actual yet: from their origins back to those that have.
        query = ForecastQuery(
            model=model, version=candidate, roles=(ForecastRole.SHADOW,), limit=AT_MOST, newest_first=True, origin_until=until
        )  # fmt: skip
        shadows = read_forecasts(store, query)
        if not shadows:
            break
        until = shadows[-1].origin
        theirs |= _errors(store, shadows, target)
        ours |= _errors(store, _beside(store, shadows, model, champion), target)
        if len({key[:2] for key in theirs.keys() & ours.keys()}) >= AT_MOST:
            break
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return LiveErrorsReport(0, NAN, NAN)
    means = [float(np.mean([found[key] for key in common])) for found in (ours, theirs)]
    return LiveErrorsReport(len(common), means[0], means[1])


def _beside(store: Store, shadows: list[StoredForecastRecord], model: str, champion: int) -> list[StoredForecastRecord]:
    """What the champion answered to the same requests."""
    asked: dict[str, list[StoredForecastRecord]] = {}
    for one in sorted(shadows, key=lambda one: one.created_at):
        asked.setdefault(one.request, []).append(one)
    found: list[StoredForecastRecord] = []
    requests = tuple(asked)
    for first in range(0, len(requests), REQUESTS_AT_ONCE):
        some = requests[first : first + REQUESTS_AT_ONCE]
        these = [one for request in some for one in asked[request]]
        created, origins = [one.created_at for one in these], [one.origin for one in these]
        # The times let the database find the rows by its key; by them alone it would give all that others asked meanwhile.
        query = ForecastQuery(
            model=model, version=champion, roles=(ForecastRole.CHAMPION,), created_from=min(created) - _APART_S,
            created_until=max(created) + 1, origin_from=min(origins), origin_until=max(origins) + 1, requests=some,
        )  # fmt: skip
        wanted = {(one.request, one.series) for one in these}
        found += [one for one in read_forecasts(store, query) if (one.request, one.series) in wanted]
    return found


_APART_S = 60
"""A request is asked of the candidate after the champion has answered it, by no more than this."""


def _errors(store: Store, forecasts: list[StoredForecastRecord], target: str) -> dict[tuple[str, str, int], float]:
    """Absolute error of what the model answered, by request, series and time."""
    forecasts = [one for one in forecasts if one.quantiles is not None and not one.flags & ForecastFlag.DEGRADED]
    found: dict[tuple[str, str, int], float] = {}
    for part in join_actuals(store, forecasts, target):
        errors = np.abs(part.level(POINT_QUANTILE) - part.actual)
        for place, time, error in zip(part.forecast_at.tolist(), part.time.tolist(), errors.tolist(), strict=True):
            one = forecasts[place]
            found[one.request, one.series, time] = error
    return found
