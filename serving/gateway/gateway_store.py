"""The store as the gateway uses it: observations in, forecasts out."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.config.store import StoreConfig
from forecasting.durations import duration_s
from forecasting.errors import AlmanacError
from forecasting.store.address import store_address
from forecasting.store.forecast_log import ForecastLog
from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole
from forecasting.store.opening import Store, open_store
from forecasting.store.retention import prune
from serving.gateway.forecast_rows import forecast_batch
from serving.gateway.observation_post import ObservationWriter
from serving.gateway.observed import ObservedHistory

logger = logging.getLogger(__name__)

N_THREADS = 4
"""That wait for the database: were it to hang, those of the event loop must be free to make forecasts."""
PRUNE_S = 3600.0
"""How often what is old is removed."""
DEFAULT_STORE = "default"
"""What `--store` has for serving.db of the state directory."""
NOT_SET = "none"
"""What a flag has for null of its setting."""
SPILL_FOLDER = "forecast_log"
"""Beside the SQLite file: forecasts that the store could not take."""


@dataclass(frozen=True)
class GatewayStore:
    """An open store with what the gateway keeps of it and in it; clock: epoch seconds."""

    store: Store
    log: ForecastLog
    observed: ObservedHistory
    writer: ObservationWriter
    pruning: asyncio.Task[None]
    threads: ThreadPoolExecutor
    clock: Callable[[], float] = time.time

    @property
    def problem(self) -> str:
        """What is the matter with it; empty for nothing."""
        if not self.log.is_alive:
            return "no forecast is written to the store: the thread that does has ended"
        return self.observed.problem

    def keep(self, found: ForecastsRecord, request_id: str) -> None:
        """Log what was answered; never waits for the database, but for a file where more is waiting than the queue takes."""
        role, request = ForecastRole(found.role.value), _stored_request(request_id, found)
        self.log.append(self._batch(found, request, role=role))

    def keep_shadow(
        self, found: ForecastsRecord | None, champion: ForecastsRecord, request_id: str, *, version: int,
        problem: str,
    ) -> None:  # fmt: skip
        """Log what a candidate answered beside the champion, or that it did not; never waits for the database."""
        role, request = ForecastRole.SHADOW, _stored_request(request_id, champion)
        if found is not None:
            self.log.append(self._batch(found, request, role=role))
        elif problem:
            asked = self._batch(champion, request, role=role)
            problems = [problem] * len(champion)
            self.log.append(
                replace(asked, version=version, answers=None, flags=None, latency_us=None, problems=problems)
            )

    def _batch(self, found: ForecastsRecord, request: str, *, role: ForecastRole) -> ForecastBatchRecord:
        return forecast_batch(found, request, role=role, now=int(self.clock()))

    async def close(self) -> None:
        """Write what waits, and close the store."""
        self.pruning.cancel()
        await self.observed.close()
        await asyncio.to_thread(self.log.close)
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.store.close()


def open_gateway_store(
    url: str | None, home: Path, model: str, settings: StoreConfig, *, clock: Callable[[], float] = time.time
) -> GatewayStore:
    """Open the store, begin to look for observations of others and to remove what is old; must be called inside the event loop.

    Args:
        url: As `store.url` has it.
        home: State directory.
        model: Name of the model.
        settings: How forecasts are written, and how long what stays; its own `url` is left alone.
        clock: Epoch seconds.

    Raises:
        ConfigError: The address is wrong, or a newer Almanac has written the store.
        RetryableError: The database cannot be reached.
        ArtifactError: It is damaged.
    """
    store = open_store(store_address(url, home / "serving.db"))
    log = ForecastLog(
        store, home / SPILL_FOLDER, flush_interval_s=settings.flush_interval_s, queue_size=settings.queue_size
    )
    threads = ThreadPoolExecutor(N_THREADS, "store")
    observed = ObservedHistory(store, model, threads=threads)
    observed.start()
    pruning = asyncio.create_task(_prune(store, settings, threads, clock))
    writer = ObservationWriter(store, observed, threads, clock=clock)
    return GatewayStore(store, log, observed, writer, pruning, threads, clock)


def _stored_request(request_id: str, answered: ForecastsRecord) -> str:
    """No two requests have the same, whatever their client calls them; a shadow has that of what it stood beside."""
    return f"{request_id}/{answered.answer_id}"


async def _prune(store: Store, settings: StoreConfig, threads: ThreadPoolExecutor, clock: Callable[[], float]) -> None:
    keep = [None if one is None else duration_s(one) for one in (settings.keep_forecasts, settings.keep_observations)]
    work = functools.partial(prune, store, keep_forecasts_s=keep[0], keep_observations_s=keep[1])
    while True:
        try:
            at_now = functools.partial(work, now=int(clock()))
            report = await asyncio.get_running_loop().run_in_executor(threads, at_now)
        except (AlmanacError, DBAPIError) as error:
            logger.warning("nothing is pruned: %s", store.address.scrubbed_error(error))
        else:
            if report.rows or report.partitions:
                logger.info("pruned rows %s, partitions %s", report.rows, list(report.partitions))
        await asyncio.sleep(PRUNE_S)
