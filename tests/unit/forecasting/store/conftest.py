from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.store.address import StoreAddress, store_address
from forecasting.store.opening import Store, open_store


@pytest.fixture
def address(tmp_path: Path) -> StoreAddress:
    """A database without tables."""
    return store_address(None, tmp_path / "serving.db")


@pytest.fixture
def store(address: StoreAddress) -> Iterator[Store]:
    with open_store(address) as found:
        yield found
