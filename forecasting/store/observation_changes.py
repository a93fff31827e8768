"""What of a model's observations changed with each revision, so that whoever has seen one need not read everything again.

A revision is counted at the end of its transaction, in a row that stays locked until the commit. So who sees a revision sees
all before it, and what they changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from forecasting.store.opening import Store
from forecasting.store.packing import pack_times, unpack_times
from forecasting.store.tables import OBSERVATION_CHANGES, OBSERVATION_REVISIONS, OBSERVED_COLUMNS

Integers = npt.NDArray[np.int64]
_KEYS_AT_ONCE = 5_000


@dataclass(frozen=True)
class ChangedSpansRecord:
    """Columns whose values changed: keys `[K]` ascending, and the first and last step of each that did, epoch seconds `[K]`."""

    keys: Integers
    first: Integers
    last: Integers

    @classmethod
    def of(cls, keys: Integers, first: Integers, last: Integers) -> "ChangedSpansRecord":
        """Spans of the same key, in any order, become one that holds them all."""
        distinct, place = np.unique(keys, return_inverse=True)
        from_, to = np.full(len(distinct), np.iinfo(np.int64).max), np.full(len(distinct), np.iinfo(np.int64).min)
        np.minimum.at(from_, place, first)
        np.maximum.at(to, place, last)
        return cls(distinct, from_, to)

    @classmethod
    def together(cls, parts: Sequence["ChangedSpansRecord"]) -> "ChangedSpansRecord":
        """The spans of all of them."""
        nothing = np.zeros(0, np.int64)
        columns = zip(*((one.keys, one.first, one.last) for one in parts), strict=True) if parts else [[nothing]] * 3
        return cls.of(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class ChangedSeriesReport:
    """revision: the latest. spans: first and last step by series of a column that changed since; none where that is not known."""

    revision: int
    spans: dict[str, tuple[int, int]] | None


def note_changes(connection: Connection, model: str, revision: int, changed: ChangedSpansRecord, *, now: int) -> None:
    """Note what a revision changed, in the transaction that makes it."""
    spans = pack_times(np.stack([changed.keys, changed.first, changed.last]))
    row = {"model": model, "revision": revision, "created_at": now, "spans": spans}
    connection.execute(OBSERVATION_CHANGES.insert().values(row))


def changed_series(store: Store, model: str, column: str, *, since: int | None) -> ChangedSeriesReport:
    """What changed of a column of all series since a revision; of none: it is not known.

    Raises:
        RetryableError: The store cannot be used now.
    """
    revisions, changes = OBSERVATION_REVISIONS.c, OBSERVATION_CHANGES.c
    with store.reading() as connection:
        wanted = select(revisions.revision).where(revisions.model == model)
        latest = int(connection.execute(wanted).scalar_one_or_none() or 0)
        if since is None:
            return ChangedSeriesReport(latest, None)
        noted = select(changes.spans).where(
            changes.model == model, changes.revision > since, changes.revision <= latest
        )
        found = [ChangedSpansRecord(*unpack_times(packed, 3)) for packed in connection.execute(noted).scalars()]
        if len(found) != latest - since:
            # They were kept for a while only, and nobody looked in that time.
            return ChangedSeriesReport(latest, None)
        return ChangedSeriesReport(latest, _by_series(connection, column, ChangedSpansRecord.together(found)))


def _by_series(connection: Connection, column: str, changed: ChangedSpansRecord) -> dict[str, tuple[int, int]]:
    table, found = OBSERVED_COLUMNS.c, dict[str, tuple[int, int]]()
    for begin in range(0, len(changed.keys), _KEYS_AT_ONCE):
        keys = changed.keys[begin : begin + _KEYS_AT_ONCE]
        spans = dict(
            zip(
                keys.tolist(),
                zip(changed.first[begin:].tolist(), changed.last[begin:].tolist(), strict=True),
                strict=False,
            )
        )
        wanted = select(table.key, table.series).where(table.key.in_(keys.tolist()), table.name == column)
        for key, series in connection.execute(wanted):
            first, last = spans[key]
            held = found.get(series, (first, last))
            # A series that was observed on two grids has a key for each.
            found[series] = (min(first, held[0]), max(last, held[1]))
    return found
