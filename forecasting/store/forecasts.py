"""Write forecasts to the store and read them again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag, StrEnum
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row, Select, select

from forecasting.store.opening import Store
from forecasting.store.packing import pack_answers, pack_levels, unpack_answers, unpack_levels
from forecasting.store.partitions import FORECAST_PARTS, ensure_partitions
from forecasting.store.tables import FORECASTS

_AT_ONCE = 1_000
"""Rows of one statement."""
_COLUMNS = [column for column in FORECASTS.columns if column.name != "scored"]
"""What a forecast is; what it was scored with is the monitor's."""


class ForecastRole(StrEnum):
    """Which model a forecast is of.

    CHAMPION and CANDIDATE were answers to a client. SHADOW was made beside the answer of the same request and
    shown to nobody.
    """

    CHAMPION = "champion"
    CANDIDATE = "candidate"
    SHADOW = "shadow"


class ForecastFlag(IntFlag):
    """What must be known of a forecast.

    DEGRADED: by the fallback. IMPUTED: values of its history were filled. STALE: its history ends before it should.
    """

    NONE = 0
    DEGRADED = 1
    IMPUTED = 2
    STALE = 4


@dataclass(frozen=True, kw_only=True)
class ForecastBatchRecord:
    """What one model answered to one request, for N series at once.

    request: an id that no other request has; champion and shadow of a request share it. created_at: epoch seconds. origins `[N]`: first step of
    each. levels: Q quantile levels. answers `[N,H,A]` in the target's unit, A being Q or, with the mean in the last
    column, Q + 1; none where the model did not answer. flags `[N]`: sums of `ForecastFlag`. latency_us: the
    model's, where it was measured. problems `[N]`: why there is no answer, or why the fallback gave it; empty for none.
    """

    request: str
    created_at: int
    role: ForecastRole
    model: str
    version: int
    series: Sequence[str]
    origins: npt.NDArray[np.int64]
    step_s: int
    n_steps: int
    levels: tuple[float, ...]
    answers: npt.NDArray[np.float32] | None
    flags: npt.NDArray[np.int64] | None = None
    latency_us: int | None = None
    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        n, answers = len(self.series), self.answers
        lengths = [len(self.origins), *(len(found) for found in (self.flags, answers) if found is not None)]
        lengths += [len(self.problems)] if self.problems else []
        if lengths != [n] * len(lengths):
            raise ValueError(
                f"a batch of {n} series must have {n} origins, answers, flags and problems, found {lengths}"
            )
        if answers is not None and (
            answers.ndim != 3 or answers.shape[1] != self.n_steps or answers.shape[2] - len(self.levels) not in (0, 1)
        ):
            raise ValueError(
                f"answers must be [{n}, {self.n_steps}, {len(self.levels)}], with a mean one column more, found {answers.shape}"
            )
        for name in ("created_at", "version", "step_s", "n_steps"):
            if not isinstance(getattr(self, name), int):
                raise TypeError(f"{name} must be an int, found {getattr(self, name)!r}")

    def __len__(self) -> int:
        return len(self.series)

    def part(self, first: int, end: int) -> "ForecastBatchRecord":
        """Some of its series."""
        return replace(
            self,
            series=self.series[first:end],
            origins=self.origins[first:end],
            answers=None if self.answers is None else self.answers[first:end],
            flags=None if self.flags is None else self.flags[first:end],
            problems=self.problems[first:end],
        )

    def rows(self) -> list[tuple[Any, ...]]:
        """One row of the table for each series, in the order of its columns."""
        n = len(self)
        answers = repeat(None, n) if self.answers is None else pack_answers(self.answers)
        return list(
            zip(
                repeat(self.created_at, n),
                repeat(self.request, n),
                repeat(self.role.value, n),
                self.series,
                repeat(self.model, n),
                repeat(self.version, n),
                self.origins.tolist(),
                repeat(self.step_s, n),
                repeat(self.n_steps, n),
                repeat(pack_levels(self.levels), n),
                answers,
                repeat(0, n) if self.flags is None else self.flags.tolist(),
                repeat(self.latency_us, n),
                (problem or None for problem in self.problems) if self.problems else repeat(None, n),
                strict=True,
            )
        )


@dataclass(frozen=True, kw_only=True)
class StoredForecastRecord:
    """One forecast of one series.

    quantiles `[H,Q]` and mean `[H]` in the target's unit; none where there is no answer, mean also where the model has none.
    """

    request: str
    created_at: int
    role: ForecastRole
    model: str
    version: int
    series: str
    origin: int
    step_s: int
    n_steps: int
    levels: tuple[float, ...]
    quantiles: npt.NDArray[np.float32] | None
    mean: npt.NDArray[np.float32] | None
    flags: ForecastFlag = ForecastFlag.NONE
    latency_us: int | None = None
    problem: str = ""

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Its steps `[H]`."""
        return self.origin + self.step_s * np.arange(self.n_steps, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class ForecastQuery:
    """Which forecasts are read; every field narrows them, times are from (inclusive) and until (exclusive)."""

    model: str
    series: tuple[str, ...] | None = None
    version: int | None = None
    roles: tuple[ForecastRole, ...] | None = None
    origin_from: int | None = None
    origin_until: int | None = None
    created_from: int | None = None
    created_until: int | None = None
    limit: int | None = None
    newest_first: bool = field(default=False)
    requests: tuple[str, ...] | None = None


def write_forecasts(store: Store, batches: Sequence[ForecastBatchRecord]) -> int:
    """Write forecasts in one transaction; one that is there already (created_at, request, role, series) is left as it is.

    Returns:
        How many were not there yet.

    Raises:
        RetryableError: The store cannot be used now; nothing was written.
    """
    rows = [row for batch in batches for row in batch.rows()]
    names = [column.name for column in _COLUMNS]
    # As text: binding each row by the names of its columns would cost more than writing it.
    mark = "%s" if store.is_postgresql else "?"
    columns, marks = ", ".join(names), ", ".join([mark] * len(names))
    statement = " ".join(("INSERT INTO forecasts", f"({columns})", f"VALUES ({marks})", "ON CONFLICT DO NOTHING"))
    written = 0
    with store.writing() as connection:
        times = {batch.created_at for batch in batches}
        # And the next one: a week ahead nobody waits for it yet.
        ensure_partitions(connection, FORECAST_PARTS, times | {time + FORECAST_PARTS.width_s for time in times})
        for first in range(0, len(rows), _AT_ONCE):
            written += connection.exec_driver_sql(statement, rows[first : first + _AT_ONCE]).rowcount
    return written


def read_forecasts(store: Store, query: ForecastQuery) -> list[StoredForecastRecord]:
    """Forecasts in order of origin, then of when they were made.

    Raises:
        RetryableError: The store cannot be used now.
    """
    with store.reading() as connection:
        return [stored_forecast(row) for row in connection.execute(_selected(query))]


def _selected(query: ForecastQuery) -> Select[Any]:
    table = FORECASTS.c
    found = select(*_COLUMNS).where(table.model == query.model)
    if query.series is not None:
        found = found.where(table.series.in_(query.series))
    if query.requests is not None:
        found = found.where(table.request.in_(query.requests))
    if query.version is not None:
        found = found.where(table.version == query.version)
    if query.roles is not None:
        found = found.where(table.role.in_([role.value for role in query.roles]))
    for column, since, until in (
        (table.origin, query.origin_from, query.origin_until),
        (table.created_at, query.created_from, query.created_until),
    ):
        found = found if since is None else found.where(column >= since)
        found = found if until is None else found.where(column < until)
    order = (table.origin, table.created_at, table.request, table.role, table.series)
    return found.order_by(*(one.desc() if query.newest_first else one for one in order)).limit(query.limit)


def stored_forecast(row: Row[Any]) -> StoredForecastRecord:
    """A row of the table."""
    levels = unpack_levels(row.levels)
    answers = None if row.answers is None else unpack_answers(row.answers, row.n_steps)
    return StoredForecastRecord(
        request=row.request,
        created_at=row.created_at,
        role=ForecastRole(row.role),
        model=row.model,
        version=row.version,
        series=row.series,
        origin=row.origin,
        step_s=row.step_s,
        n_steps=row.n_steps,
        levels=levels,
        quantiles=None if answers is None else answers[:, : len(levels)],
        mean=None if answers is None or answers.shape[1] == len(levels) else answers[:, -1],
        flags=ForecastFlag(row.flags),
        latency_us=row.latency_us,
        problem=row.problem or "",
    )
