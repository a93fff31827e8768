"""Forecasts of a series that were given out, with what came, as the log of forecasts and the observations have them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from forecasting.answering.iso_time import iso_time
from forecasting.answering.served_model import ServedModel
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.schema import Series
from forecasting.store.actuals import join_actuals
from forecasting.store.forecasts import ForecastFlag, StoredForecastRecord
from forecasting.store.given_out import forecasts_given_out
from forecasting.store.opening import Store
from serving.gateway.answers import AnswerError
from serving.gateway.past import step_count

MOST_FORECASTS = 60
DEFAULT_FORECASTS = 14
_MOST_APART = 100_000

KEPT_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "count",
        "in": "query",
        "description": "How many at most, the latest ones.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_FORECASTS, "default": DEFAULT_FORECASTS},
    },
    {
        "name": "apart",
        "in": "query",
        "description": "Steps from one origin to the next at least; left out: the horizon, so that none overlap.",
        "schema": {"type": "integer", "minimum": 1, "maximum": _MOST_APART},
    },
]


def kept_forecasts(store: Store, served: ServedModel, series_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Forecasts of a series with the actual value of each step, null where it is not known.

    Args:
        store: Has both.
        served: The champion, whose table has actual values too.
        series_id: Of the series; one that nobody ever asked for has none.
        query: `count` and `apart`, as text; others are refused.

    Raises:
        AnswerError: 400: a parameter must be changed.
        RetryableError: The store cannot be used now.
    """
    count, apart_s = kept_range(served, query)
    found = forecasts_given_out(store, served.name, series_id, count=count, apart_s=apart_s)
    return kept_document(
        served, series_id, [_entry(one, actual) for one, actual in _with_actuals(store, served, found)]
    )


def kept_range(served: ServedModel, query: Mapping[str, str]) -> tuple[int, int]:
    """How many forecasts are asked for, and how many seconds apart.

    Raises:
        AnswerError: 400: a parameter must be changed.
    """
    if unknown := sorted(set(query) - {"count", "apart"}):
        raise AnswerError(400, f"the query may have 'count' and 'apart', found {unknown[0]!r}")
    count = step_count(query, "count", default=DEFAULT_FORECASTS, most=MOST_FORECASTS)
    return count, served.spec.step_s * step_count(query, "apart", default=served.spec.horizon, most=_MOST_APART)


def kept_document(served: ServedModel, series_id: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Forecasts of a series as a document."""
    head = {"model": served.name, "target": served.spec.target, "step_s": served.spec.step_s}
    return {**head, "series": series_id, "forecasts": entries}


def _with_actuals(
    store: Store, served: ServedModel, found: list[StoredForecastRecord]
) -> list[tuple[StoredForecastRecord, list[float | None]]]:
    actuals: list[list[float | None]] = [[None] * one.n_steps for one in found]
    series: Series | None = served.series.get(found[0].series) if found else None
    tables = {} if series is None else {series.id: series}
    for part in join_actuals(store, found, served.spec.target, tables=tables, cutoff=served.cutoff):
        for place, step, actual in zip(
            part.forecast_at.tolist(), part.step.tolist(), part.actual.tolist(), strict=True
        ):
            actuals[place][step] = actual
    return list(zip(found, actuals, strict=True))


def _entry(one: StoredForecastRecord, actual: list[float | None]) -> dict[str, Any]:
    stamps = np.datetime_as_string(one.timestamps.astype("datetime64[s]"), timezone="UTC").tolist()
    quantiles = {} if one.quantiles is None else {f"{level:g}": one.quantiles[:, i].tolist() for i, level in enumerate(one.levels)}  # fmt: skip
    return {
        "series": one.series,
        "version": one.version,
        "role": one.role.value,
        "made_at": iso_time(one.created_at),
        "origin": iso_time(one.origin),
        "degraded": bool(one.flags & ForecastFlag.DEGRADED),
        "reason": one.problem or None,
        "imputed": bool(one.flags & ForecastFlag.IMPUTED),
        "stale": bool(one.flags & ForecastFlag.STALE),
        "timestamps": stamps,
        "point": quantiles.get(f"{POINT_QUANTILE:g}"),
        "mean": None if one.mean is None else one.mean.tolist(),
        "quantiles": quantiles,
        "actual": actual,
    }
