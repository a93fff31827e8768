"""What was observed since a version was made, kept in memory as rows to lay over its series."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from forecasting.answering.observed import ObservedRows, read_observed, read_observed_by
from forecasting.answering.served_model import ServedModel
from forecasting.errors import AlmanacError
from forecasting.store.observations import KEYS_AT_ONCE, observation_revision
from forecasting.store.opening import Store

logger = logging.getLogger(__name__)

KEPT_VERSIONS = 2
LOOK_S = 1.0
"""How often the store is asked whether another process has written observations."""
FIRST_LOOK_S = 0.5
"""How long a forecast waits for the first look at the store; it goes on without where that takes longer."""
T = TypeVar("T")


@dataclass(frozen=True)
class _KeptRows:
    """Rows of one version as of a revision of the observations; none where the store could not be read."""

    served: ServedModel
    rows: ObservedRows | None
    revision: int


@dataclass(frozen=True)
class _FirstLook:
    """A look that goes on, and until when forecasts wait for it, by the monotonic clock."""

    task: asyncio.Task[None]
    until: float


class ObservedHistory:
    """Observations of one model in memory, for the versions that are asked; looks for those of other processes.

    Where the store cannot be read, what was read last of the same version stays, and that is logged and shown as `problem`.
    """

    def __init__(self, store: Store, model: str, *, threads: Executor | None = None, look_s: float = LOOK_S) -> None:
        """Read nothing yet.

        Args:
            store: Where observations are.
            model: Name of the model.
            threads: Where the store is waited for; none: the event loop's.
            look_s: How often it is asked for what is new.
        """
        self._store, self._model, self._threads, self._look_s = store, model, threads, look_s
        self._kept: list[_KeptRows] = []
        self._first: dict[int, _FirstLook] = {}
        self._busy = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._why = ""

    @property
    def problem(self) -> str:
        """Why forecasts are made without what may have been observed; empty where the last look found it."""
        if self._first and not self._why:
            return "observations are not read yet: the store does not answer"
        return self._why

    def start(self) -> None:
        """Begin to look for what other processes write."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        for task in (self._watching, *(first.task for first in self._first.values())):
            if task is not None:
                task.cancel()

    async def of(self, served: ServedModel) -> ObservedRows | None:
        """What was observed beyond a version; none where the store could not be read yet."""
        kept = self._find(served)
        if kept is None:
            await self._first_look(served)
            kept = self._find(served)
        return None if kept is None else kept.rows

    async def as_of(self, served: ServedModel, ids: Sequence[str], known_by: int) -> ObservedRows:
        """What was observed of some series beyond a version and known by a time.

        Raises:
            RetryableError: The store cannot be used now.
        """
        read = functools.partial(read_observed_by, self._store, self._model, served, tuple(ids), known_by)
        return await self._in_thread(read)

    async def _first_look(self, served: ServedModel) -> None:
        """Wait for the one look of all who ask for a version, no longer than `FIRST_LOOK_S` from its beginning on."""
        first = self._first.get(id(served))
        if first is None:
            first = _FirstLook(asyncio.create_task(self._look(served)), time.monotonic() + FIRST_LOOK_S)
            self._first[id(served)] = first
            first.task.add_done_callback(lambda _: self._first.pop(id(served)))
        left = first.until - time.monotonic()
        if left > 0:
            await asyncio.wait({first.task}, timeout=left)

    async def refresh(self, ids: Sequence[str], revision: int | None) -> None:
        """Read some series again, which this process has just written, and all where others have written too.

        Args:
            ids: Of the series.
            revision: Of the observations, which the write has made; none where it changed nothing.
        """
        try:
            async with self._busy:
                for kept in list(self._kept):
                    # What was read stood just before the write. Should somebody have written after it, the look below sees that.
                    if kept.rows is not None and revision == kept.revision + 1 and len(ids) <= KEYS_AT_ONCE:
                        found = await self._in_thread(functools.partial(self._read, kept.served, tuple(ids)))
                        self._keep(_KeptRows(kept.served, kept.rows.replaced(ids, found), revision))
        except (AlmanacError, DBAPIError) as error:
            # What was written stands; the next look finds its revision and reads it.
            self._fail(error)
            return
        await self._look_at_all()

    def _find(self, served: ServedModel) -> _KeptRows | None:
        return next((kept for kept in self._kept if kept.served is served), None)

    def _keep(self, new: _KeptRows) -> None:
        """Champion and candidate are asked in turns, so the rows of two versions stay."""
        others = [kept for kept in self._kept if kept.served is not new.served]
        self._kept = [*others[1 - KEPT_VERSIONS :], new]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        for kept in list(self._kept):
            await self._look(kept.served)

    async def _look(self, served: ServedModel) -> None:
        async with self._busy:
            kept = self._find(served)
            try:
                revision = await self._in_thread(functools.partial(observation_revision, self._store, self._model))
                if kept is not None and revision == kept.revision:
                    self._why = ""
                    return
                rows = await self._in_thread(functools.partial(self._read, served, None))
            except (AlmanacError, DBAPIError) as error:
                self._fail(error)
                if kept is None:
                    # Requests go on without; only the watch tries again, so that none of them waits for a database that is away.
                    self._keep(_KeptRows(served, None, -1))
                return
            self._why = ""
            self._keep(_KeptRows(served, rows, revision))

    def _fail(self, error: Exception) -> None:
        self._why = f"observations are not read: {self._store.address.scrubbed_error(error)}"
        logger.warning("%s", self._why)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _read(self, served: ServedModel, ids: tuple[str, ...] | None) -> ObservedRows:
        return read_observed(self._store, self._model, served, ids)
