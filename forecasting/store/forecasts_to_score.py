"""Which forecasts a monitor looks at: all, those that it never looked at, those whose actuals changed since.

Rows come in parts, by origin within each, with what they were scored with. Each part is one read; what is written between two of them shows
in the next one where that is a read of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from forecasting.store.opening import Store
from forecasting.store.tables import FORECASTS

SERIES_AT_ONCE = 500
"""Series of one read."""
_WASTE = 2
"""A read may span this many times the steps that its series need."""
_TABLE = FORECASTS.c
_COLUMNS = (
    _TABLE.created_at, _TABLE.request, _TABLE.role, _TABLE.series, _TABLE.version, _TABLE.origin, _TABLE.step_s,
    _TABLE.n_steps, _TABLE.levels, _TABLE.answers, _TABLE.flags, _TABLE.scored,
)  # fmt: skip

Spans = Mapping[str, tuple[int, int]]
Rows = Sequence[Any]


def forecasts_to_score(
    store: Store, model: str, *, origin_from: int | None, origin_until: int, at_once: int
) -> Iterator[Rows]:
    """All forecasts with an answer.

    Args:
        store: Where they are.
        model: Name of the model.
        origin_from: First origin; none: from the first forecast on.
        origin_until: Last origin.
        at_once: Rows of a part at most.

    Raises:
        RetryableError: The store cannot be used now.
    """
    conditions = [_TABLE.origin <= origin_until]
    if origin_from is not None:
        conditions.append(_TABLE.origin >= origin_from)
    yield from _read(store, _answered(model, *conditions), at_once)


def forecasts_never_looked_at(
    store: Store, model: str, *, origin_from: int, origin_until: int, at_once: int
) -> Iterator[Rows]:
    """Those of them whose score was never noted; see `forecasts_to_score`.

    Raises:
        RetryableError: The store cannot be used now.
    """
    mine = (_TABLE.origin >= origin_from, _TABLE.origin <= origin_until, _TABLE.scored.is_(None))
    yield from _read(store, _answered(model, *mine), at_once)


def forecasts_of_changes(
    store: Store, model: str, spans: Spans, *, reach_s: int, origin_from: int, at_once: int
) -> Iterator[Rows]:
    """Those that were looked at and have a step among the changed ones of their series.

    Args:
        store: Where they are.
        model: Name of the model.
        spans: First and last changed step by series, epoch seconds.
        reach_s: No forecast that was looked at has a longer horizon.
        origin_from: First origin.
        at_once: Rows of a part at most.

    Raises:
        RetryableError: The store cannot be used now.
    """
    for ids in _alike(spans, reach_s):
        since = max(origin_from, min(spans[one][0] for one in ids) - reach_s)
        until = max(spans[one][1] for one in ids)
        mine = (
            _TABLE.series.in_(ids), _TABLE.origin >= since, _TABLE.origin <= until, _TABLE.scored.is_not(None),
        )  # fmt: skip
        for rows in _read(store, _answered(model, *mine), at_once):
            touched = [row for row in rows if _is_touched(row, spans[row.series])]
            if touched:
                yield touched


def _answered(model: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    found = select(*_COLUMNS).where(_TABLE.model == model, _TABLE.answers.is_not(None), *conditions)
    return found.order_by(_TABLE.origin)


def _read(store: Store, wanted: Select[Any], at_once: int) -> Iterator[Rows]:
    with store.reading() as connection:
        rows = connection.execution_options(stream_results=True, yield_per=at_once)
        yield from rows.execute(wanted).partitions()


def _alike(spans: Spans, reach_s: int) -> Iterator[list[str]]:
    """Series in parts whose spans lie together, so that one correction of long ago makes no long read for all others."""
    part: list[str] = []
    needed_s = begin = end = 0
    for series in sorted(spans, key=lambda one: (*spans[one], one)):
        first, last = spans[series]
        length_s = last - first + reach_s
        wider = (min(begin, first), max(end, last)) if part else (first, last)
        spanned_s = (len(part) + 1) * (wider[1] - wider[0] + reach_s)
        if part and (len(part) == SERIES_AT_ONCE or spanned_s > _WASTE * (needed_s + length_s)):
            yield part
            part, needed_s, wider = [], 0, (first, last)
        part.append(series)
        needed_s += length_s
        begin, end = wider
    if part:
        yield part


def _is_touched(row: Any, span: tuple[int, int]) -> bool:
    return bool(row.origin <= span[1] and row.origin + row.n_steps * row.step_s > span[0])
