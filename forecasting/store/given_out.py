"""Forecasts of one series that were given out, one for each of some origins: what people compare with what came."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from forecasting.store.forecasts import ForecastRole, StoredForecastRecord, stored_forecast
from forecasting.store.opening import Store
from forecasting.store.tables import FORECASTS

MOST_ORIGINS = 2_000
"""The latest origins of a series that are looked at."""
_GIVEN_OUT = (ForecastRole.CHAMPION.value, ForecastRole.CANDIDATE.value)


@dataclass(frozen=True)
class _OriginRecord:
    """An origin, the step after its horizon, and when it was first forecast from, all epoch seconds."""

    origin: int
    end: int
    made_at: int


def forecasts_given_out(
    store: Store, model: str, series: str, *, count: int, apart_s: int
) -> list[StoredForecastRecord]:
    """The first forecast of each of the latest origins, ascending; a repetition may know what came meanwhile.

    A forecast that was asked for after its time had passed is left out where there are others.

    Args:
        store: Where they are.
        model: Name of the model.
        series: Id.
        count: How many origins at most.
        apart_s: Seconds from one to the next at least.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = FORECASTS.c
    mine = (table.model == model) & (table.series == series) & table.role.in_(_GIVEN_OUT) & table.answers.is_not(None)
    with store.reading() as connection:
        origins = (
            select(table.origin, func.max(table.n_steps * table.step_s), func.min(table.created_at))
            .where(mine)
            .group_by(table.origin)
            .order_by(table.origin.desc())
            .limit(MOST_ORIGINS)
        )
        found = [_OriginRecord(row[0], row[0] + row[1], row[2]) for row in connection.execute(origins)]
        picked = _picked(found, count, apart_s)
        return [stored_forecast(row) for row in connection.execute(_first(mine, picked))]


def _picked(found: Iterable[_OriginRecord], count: int, apart_s: int) -> list[int]:
    """Origins from the latest one on, each so far before the one before it."""
    found = list(found)
    timely = [one for one in found if one.made_at < one.end]
    picked: list[int] = []
    for one in timely or found:
        if len(picked) < count and (not picked or picked[-1] - one.origin >= apart_s):
            picked.append(one.origin)
    return picked


def _first(mine: ColumnElement[bool], origins: list[int]) -> Any:
    table = FORECASTS.c
    rank = func.row_number().over(partition_by=table.origin, order_by=(table.created_at, table.request, table.role))
    ranked = select(*FORECASTS.columns, rank.label("rank")).where(mine, table.origin.in_(origins)).subquery()
    return select(ranked).where(ranked.c.rank == 1).order_by(ranked.c.origin)
