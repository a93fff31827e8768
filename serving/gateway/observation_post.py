"""`POST /v1/observations`: parse, check, write.

    {"observations": {id: {"start": time, "values": {column: [number | null, …]}} | {"timestamps": [time, …], "values": …}},
     "known_at": time | null}

or an Arrow table with `series`, `timestamp` and one column a value, and `known_at` in the query. null leaves what is there.
"""

import asyncio
import functools
import hashlib
import re
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows, Integers, check_columns, check_times
from forecasting.answering.iso_time import iso_time
from forecasting.answering.observed import grids
from forecasting.answering.served_model import ServedModel
from forecasting.errors import ConfigError, DataError
from forecasting.features.spec import FeatureSpec
from forecasting.store.observations import ObservationRows, write_grids
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from serving.gateway.arrow_bodies import read_rows
from serving.gateway.forecast_request import parse_history, parse_moment, parse_object
from serving.gateway.observed import ObservedHistory

IDEMPOTENCY_HEADER = "idempotency-key"
_KEY = "observations"
_KEYS = (_KEY, "known_at")
_IDEMPOTENCY_FORM = re.compile(r"[!-~]{1,200}")
HORIZONS_AHEAD, DAYS_AHEAD = 16, 400
"""How far ahead known covariates may be posted, whichever is longer: plans of the next year."""
_CLOCK_S = 300
"""How far a client's clock may be ahead."""


@dataclass(frozen=True)
class ObservationPost:
    """What is posted; known_at: epoch seconds, none for the time of its receipt."""

    given: GivenRows
    known_at: int | None


def parse_observations(body: bytes) -> ObservationPost:
    """Read a JSON body.

    Raises:
        AnswerError: 400, saying what is wrong and where.
    """
    document = parse_object(body, _KEYS)
    given = parse_history(document.get(_KEY), None, key=_KEY)
    if given is None:
        raise AnswerError(400, f"the body must have the key {_KEY!r}, found {sorted(document)}")
    known_at = document.get("known_at")
    return ObservationPost(given, None if known_at is None else parse_moment(known_at, "'known_at'"))


def parse_arrow_observations(body: bytes, query: QueryParams) -> ObservationPost:
    """Read an Arrow body and the query beside it.

    Raises:
        AnswerError: 400, saying what is wrong and where.
    """
    for key in query:
        if key != "known_at":
            raise AnswerError(400, f"unknown key {key!r} in the query; known is known_at")
    _, given = read_rows(body)
    if given is None or not given.columns or given.static:
        raise AnswerError(
            400, "the table must have the columns 'series', 'timestamp' and one of numbers for each column observed"
        )
    return ObservationPost(given, parse_moment(query["known_at"], "'known_at'") if "known_at" in query else None)


def post_digest(body: bytes, query: str) -> str:
    """What an idempotency key stands for."""
    return hashlib.sha256(query.encode() + b"\0" + body).hexdigest()


class ObservationWriter:
    """Writes what is posted, and has it laid over the next forecasts."""

    def __init__(
        self, store: Store, observed: ObservedHistory, threads: Executor, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Write to a store, which is waited for in threads of their own; clock: epoch seconds."""
        self._store, self._observed, self._threads, self._clock = store, observed, threads, clock

    async def write(
        self, served: ServedModel, post: ObservationPost, *, key: str | None, digest: str
    ) -> dict[str, Any]:
        """Write a post; returns what became of its values.

        Args:
            served: The champion: its columns and grids are those that can be observed.
            post: What to write.
            key: The idempotency key, where there is one.
            digest: Of the content.

        Raises:
            AnswerError: 400: the post must be changed; 409: the key was used with another content.
            RetryableError: The store cannot be used now; nothing was written.
        """
        now = int(self._clock())
        known_at = now if post.known_at is None else post.known_at
        if key is not None and not _IDEMPOTENCY_FORM.fullmatch(key):
            raise AnswerError(400, f"{IDEMPOTENCY_HEADER} must be 1 to 200 visible ASCII characters")
        if known_at > now + _CLOCK_S:
            raise AnswerError(400, f"'known_at' must not lie in the future, found {iso_time(known_at)}")
        given = post.given.at_step(served.spec.step_s)
        parts = await asyncio.to_thread(observation_parts, served, given, known_at)
        try:
            write = functools.partial(write_grids, self._store, parts, now=now, idempotency_key=key, digest=digest)
            report = await asyncio.get_running_loop().run_in_executor(self._threads, write)
        except ConfigError as error:
            raise AnswerError(409, str(error)) from error
        except DataError as error:
            raise AnswerError(400, str(error)) from error
        await self._observed.refresh(given.ids, report.revision)
        counts = {name: getattr(report, name) for name in ("new", "restated", "late", "unchanged", "repeated")}
        return {**counts, "known_at": None if report.repeated else iso_time(known_at)}


def observation_parts(served: ServedModel, given: GivenRows, known_at: int) -> dict[GridSpec, ObservationRows]:
    """Values by the grid of their series.

    Raises:
        AnswerError: 400, naming series, column and place.
    """
    spec, block = served.spec, served.block
    check_columns(given, spec, _KEY)
    issued = {name for vintages in block.vintages.values() for name in vintages.columns}
    for name in given.columns:
        if name in issued:
            text = f"column {name!r} must come with the issues of its own table, for it has vintages; give it under 'known' of a forecast"
            raise AnswerError(400, text, series=given.ids[0], column=name)
    commonest = grids(served)[0]
    places = [block.position.get(one, -1) for one in given.ids]
    start = np.array([commonest.phase_s if place < 0 else int(block.start[place]) for place in places], dtype=np.int64)
    check_times(given, start, spec.step_s, _KEY)
    names = tuple(given.columns)
    values = np.stack([given.columns[name] for name in names], axis=1)
    row, column = np.nonzero(np.isfinite(values))
    if not len(row):
        raise AnswerError(400, f"{_KEY!r} must have at least one value, found none")
    _check_ahead(spec, given, row, column, known_at)
    phases = start[given.series[row]] % spec.step_s
    parts = {}
    for phase in np.unique(phases).tolist():
        mine = phases == phase
        parts[GridSpec(spec.step_s, phase)] = ObservationRows(
            model=served.name,
            series=given.ids,
            names=names,
            series_at=given.series[row[mine]],
            name_at=column[mine],
            time=given.time[row[mine]],
            number=values[row[mine], column[mine]],
            known_at=np.full(int(mine.sum()), known_at, dtype=np.int64),
        )
    return parts


def _check_ahead(spec: FeatureSpec, given: GivenRows, row: Integers, column: Integers, known_at: int) -> None:
    """Refuse what cannot have been observed yet, and plans of so far ahead that the time must be wrong.

    Args:
        spec: Of the model.
        given: Rows.
        row: Of each value.
        column: Of each value, its place among the columns.
        known_at: Since when all of them are known.

    Raises:
        AnswerError: 400, naming series, column and place.
    """
    ahead_s = max(HORIZONS_AHEAD * spec.horizon * spec.step_s, DAYS_AHEAD * 86_400)
    names = list(given.columns)
    latest = known_at + np.array([ahead_s if name in spec.known else spec.step_s for name in names])
    late = given.time[row] > latest[column]
    if not late.any():
        return
    at = int(np.argmax(late))
    name, (series, place) = names[int(column[at])], given.where(int(row[at]))
    limit = iso_time(int(latest[column[at]]))
    why = (
        "known covariates may be given"
        if name in spec.known
        else f"what is known since {iso_time(known_at)} can have been observed"
    )
    text = (
        f"{_KEY!r} of series {series!r}, column {name!r}, must not lie beyond {limit}, until when {why}, found {place}"
    )
    raise AnswerError(400, text, series=series, column=name, place=place)
