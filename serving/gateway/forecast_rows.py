"""Forecasts as the store keeps them."""

import numpy as np

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.store.forecasts import ForecastBatchRecord, ForecastFlag, ForecastRole


def forecast_batch(found: ForecastsRecord, request: str, *, role: ForecastRole, now: int) -> ForecastBatchRecord:
    """What was answered to one request.

    Args:
        found: The answer, with all levels of the model whatever was asked for.
        request: What the store has for the request, another one for each.
        role: Of the version that answered.
        now: When it was answered, epoch seconds.
    """
    flags = ForecastFlag.IMPUTED * found.imputed + ForecastFlag.STALE * found.stale
    problems: list[str] = []
    if found.degraded:
        problems = [""] * len(found)
        for place, why in found.degraded.items():
            flags[place] |= ForecastFlag.DEGRADED
            problems[place] = why.reason
    spec = found.served.spec
    return ForecastBatchRecord(
        request=request,
        created_at=now,
        role=role,
        model=found.served.name,
        version=found.served.version,
        series=found.ids,
        origins=found.origins,
        step_s=spec.step_s,
        n_steps=spec.horizon,
        levels=spec.quantiles,
        answers=found.answers,
        flags=np.asarray(flags, dtype=np.int64),
        latency_us=None if found.model_s is None else int(found.model_s * 1e6),
        problems=problems,
    )
