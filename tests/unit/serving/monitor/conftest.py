from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forecasting.config.monitoring import MonitoringConfig
from forecasting.repository import ModelRepository
from forecasting.store.address import store_address
from forecasting.store.opening import Store, open_store
from serving.monitor.monitor import Monitor
from tests.unit.serving.monitor.watched import CUTOFF, DAY, MODEL, publish


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Empty."""
    with open_store(store_address(None, tmp_path / "serving.db")) as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Version 1 is champion."""
    found = ModelRepository(tmp_path / "models")
    found.promote(MODEL, publish(found, tmp_path))
    return found


@pytest.fixture
def make_monitor(store: Store, repository: ModelRepository) -> Callable[..., Monitor]:
    """A monitor, ten days after the cutoff unless told otherwise."""

    def make(owner: str = "first", now: float = CUTOFF + 10 * DAY, **settings) -> Monitor:
        config = MonitoringConfig(**{"horizon_buckets": (1,), **settings})
        return Monitor(store, repository, MODEL, config, clock=lambda: now, owner=owner)

    return make
