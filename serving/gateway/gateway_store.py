"""The store as the gateway uses it: observations in, forecasts out."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from forecasting.store.address import store_address
from forecasting.store.forecast_log import ForecastLog
from forecasting.store.forecasts import ForecastRole
from forecasting.store.opening import Store, open_store
from serving.gateway.forecast_rows import forecast_batch
from serving.gateway.forecasts import ForecastsRecord
from serving.gateway.observation_post import ObservationWriter
from serving.gateway.observed import ObservedHistory

DEFAULT_STORE = "default"
"""What `--store` has for serving.db of the state directory."""
SPILL_FOLDER = "forecast_log"
"""Beside the SQLite file: forecasts that the store could not take."""


@dataclass(frozen=True)
class GatewayStore:
    """An open store with what the gateway keeps of it and in it."""

    store: Store
    log: ForecastLog
    observed: ObservedHistory
    writer: ObservationWriter

    def keep(self, found: ForecastsRecord, request_id: str, latency_s: float) -> None:
        """Log what was answered; never waits for the database."""
        self.log.append(forecast_batch(found, request_id, role=ForecastRole.CHAMPION, latency_s=latency_s))

    async def close(self) -> None:
        """Write what waits, and close the store."""
        await self.observed.close()
        await asyncio.to_thread(self.log.close)
        self.store.close()


def open_gateway_store(
    url: str | None, home: Path, model: str, *, flush_interval_s: float, queue_size: int
) -> GatewayStore:
    """Open the store and begin to look for observations of others; must be called inside the event loop.

    Args:
        url: As `store.url` has it.
        home: State directory.
        model: Name of the model.
        flush_interval_s: How often forecasts are written.
        queue_size: Forecasts that wait in memory at most.

    Raises:
        ConfigError: The address is wrong, or a newer Almanac has written the store.
        RetryableError: The database cannot be reached.
        ArtifactError: It is damaged.
    """
    store = open_store(store_address(url, home / "serving.db"))
    log = ForecastLog(store, home / SPILL_FOLDER, flush_interval_s=flush_interval_s, queue_size=queue_size)
    observed = ObservedHistory(store, model)
    observed.start()
    return GatewayStore(store, log, observed, ObservationWriter(store, observed))
