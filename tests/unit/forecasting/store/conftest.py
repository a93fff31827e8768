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
def new_address(tmp_path: Path) -> StoreAddress:
    """Another database without tables."""
    return store_address(None, tmp_path / "new" / "serving.db")


@pytest.fixture
def new_file(new_address: StoreAddress) -> StoreAddress:
    """A file that is not there, of SQLite."""
    return new_address


@pytest.fixture
def store(address: StoreAddress) -> Iterator[Store]:
    with open_store(address) as found:
        yield found
