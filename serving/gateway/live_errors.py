"""Errors of champion and candidate on what came, for the requests that both answered."""

from dataclasses import dataclass

import numpy as np

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.gates.rules import NAN
from forecasting.store.actuals import join_actuals
from forecasting.store.forecasts import ForecastFlag, ForecastQuery, ForecastRole, StoredForecastRecord, read_forecasts
from forecasting.store.opening import Store

AT_MOST = 2_000
"""Latest forecasts of a version that are looked at."""


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
    shadow = ForecastQuery(model=model, version=candidate, roles=(ForecastRole.SHADOW,), limit=AT_MOST)
    theirs = [one for one in read_forecasts(store, shadow) if one.quantiles is not None]
    if not theirs:
        return LiveErrorsReport(0, NAN, NAN)
    asked = {(one.request, one.series) for one in theirs}
    created = [one.created_at for one in theirs]
    answered = ForecastQuery(
        model=model, version=champion, roles=(ForecastRole.CHAMPION,), created_from=min(created) - _APART_S,
        created_until=max(created) + 1,
    )  # fmt: skip
    ours = [one for one in read_forecasts(store, answered) if (one.request, one.series) in asked]
    errors = [_errors(store, [one for one in found if not one.flags & ForecastFlag.DEGRADED], target) for found in (ours, theirs)]  # fmt: skip
    common = sorted(errors[0].keys() & errors[1].keys())
    if not common:
        return LiveErrorsReport(0, NAN, NAN)
    means = [float(np.mean([found[key] for key in common])) for found in errors]
    return LiveErrorsReport(len(common), means[0], means[1])


_APART_S = 60
"""A request is asked of the candidate after the champion has answered it, by no more than this."""


def _errors(store: Store, forecasts: list[StoredForecastRecord], target: str) -> dict[tuple[str, str, int], float]:
    """Absolute error by request, series and time."""
    found: dict[tuple[str, str, int], float] = {}
    for part in join_actuals(store, forecasts, target):
        errors = np.abs(part.level(POINT_QUANTILE) - part.actual)
        for place, time, error in zip(part.forecast_at.tolist(), part.time.tolist(), errors.tolist(), strict=True):
            one = forecasts[place]
            found[one.request, one.series, time] = error
    return found
