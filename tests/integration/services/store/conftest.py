import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from forecasting.store.address import StoreAddress, store_address
from forecasting.store.opening import Store, open_store
from tests.integration.services.postgresql import PASSWORD, USER, postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Host and port of a PostgreSQL server."""
    # Not pytest's own folder, which the account of the server cannot reach.
    with tempfile.TemporaryDirectory() as folder, postgresql(Path(folder)) as found:
        yield found


@pytest.fixture
def address(server: str) -> StoreAddress:
    """A database of its own, without tables."""
    return _new_database(server)


@pytest.fixture
def new_address(server: str) -> StoreAddress:
    """Another one."""
    return _new_database(server)


@pytest.fixture
def new_file(tmp_path: Path) -> StoreAddress:
    """A file that is not there, of SQLite."""
    return store_address(None, tmp_path / "serving.db")


def _new_database(server: str) -> StoreAddress:
    name, base = f"t{uuid.uuid4().hex}", f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{server}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return store_address(f"{base}/{name}", Path())


@pytest.fixture
def store(address: StoreAddress) -> Iterator[Store]:
    with open_store(address) as found:
        yield found
