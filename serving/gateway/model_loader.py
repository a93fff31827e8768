"""Versions of the model in memory."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from serving.gateway.served_model import ServedModel

logger = logging.getLogger(__name__)


class ModelLoader:
    """Reads a version at most once and keeps the latest two, so that a swap and a rollback cost no reading.

    A version whose series were replaced, as a run does that finds its model champion already, is read again.
    """

    def __init__(self, load: Callable[[int], ServedModel], series_of: Callable[[int], Path | None]) -> None:
        """Load with a function from version to `ServedModel`; the other says which series a version has now."""
        self._load, self._series_of = load, series_of
        self._loaded: dict[tuple[int, Path | None], ServedModel] = {}
        self._busy = asyncio.Lock()

    async def load(self, version: int) -> ServedModel:
        """A version, from memory or from disk."""
        key = (version, self._series_of(version))
        if key in self._loaded:
            return self._loaded[key]
        async with self._busy:
            if key not in self._loaded:
                found = await asyncio.get_running_loop().run_in_executor(None, self._load, version)
                self._loaded = {**dict(list(self._loaded.items())[-1:]), key: found}
                logger.info("serving %s version %d with %d series", found.name, version, len(found.series))
            return self._loaded[key]
