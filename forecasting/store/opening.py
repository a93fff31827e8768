"""Open the store: its engine, its tables brought up to date, who reads and who writes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.store.address import StoreAddress

HEAD = "0004"
"""The newest version of the tables; `migrations/versions` has one file for each."""
VERSION_TABLE = "almanac_store_version"
BUSY_S = 5.0
"""How long SQLite waits for another process that writes."""
CONNECT_S = 5.0
"""How long a server that may be silent is waited for where it has nothing to do but to say that it is there."""
STATEMENT_S = 30.0
"""How long PostgreSQL works on a statement, or waits for a lock, before it gives up."""
_GRACE_S = 2.0
"""How much longer a statement is waited for: the server's own error says more."""
_MIGRATION_S = 3_600.0
"""The same of a migration, which may wait for that of another process."""
_MIGRATION_LOCK = 4_093_822_417
"""Of pg_advisory_xact_lock: any number that nobody else takes."""
_DAMAGED = ("malformed", "not a database")


class Store:
    """An open store; threads may share it.

    Readers never wait. SQLite has one writer at a time: threads of this process take turns here, other
    processes wait in SQLite for `BUSY_S`.
    """

    def __init__(self, engine: Engine, address: StoreAddress) -> None:
        """Wrap an engine whose tables are up to date; see `open_store`."""
        self.address, self._engine, self._turn = address, engine, threading.Lock()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_postgresql(self) -> bool:
        """Whether PostgreSQL is behind it, which has partitions, and SQLite is not."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot.

        Raises:
            RetryableError: The database cannot be reached or is busy.
            ArtifactError: It is damaged.
        """
        with _translated(self.address), self._engine.connect() as connection, connection.begin():
            self._allow(connection, STATEMENT_S)
            yield connection

    @contextmanager
    def writing(self, *, statement_s: float = STATEMENT_S) -> Iterator[Connection]:
        """One transaction: all of it is written when the block ends, nothing where it raises.

        Args:
            statement_s: How long PostgreSQL may take for one statement.

        Raises:
            RetryableError: The database cannot be reached or is busy.
            ArtifactError: It is damaged.
        """
        with _translated(self.address), self._my_turn(), self._engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                self._allow(connection, statement_s)
                yield connection

    def _allow(self, connection: Connection, statement_s: float) -> None:
        """Bound what PostgreSQL takes for a statement of a transaction, and what is waited for it should it hang."""
        if not self.is_postgresql:
            return
        # Of the transaction and not of the session, which a pooler may lend to others.
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(statement_s * 1000)}")
        driver: Any = connection.connection.driver_connection
        driver.answer_s = statement_s + _GRACE_S

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self.is_postgresql:
            yield
            return
        with self._turn:
            yield

    def close(self) -> None:
        """Close all connections; what a thread still waits for ends with a `RetryableError`."""
        self._engine.dispose()


def open_store(address: StoreAddress, *, busy_s: float = BUSY_S) -> Store:
    """Open the store and bring its tables up to date, under a lock; a file that does not exist is made.

    Args:
        address: Where it is.
        busy_s: How long a write waits for one of another process before it is a `RetryableError`.

    Raises:
        ConfigError: A newer version of Almanac has written it.
        RetryableError: The database cannot be reached or is busy.
        ArtifactError: It is damaged.
    """
    if address.file is not None:
        address.file.parent.mkdir(parents=True, exist_ok=True)
    store = Store(store_engine(address, busy_s), address)
    with store.reading() as connection:
        found = _version(connection)
    if found != HEAD:
        migrate(store, HEAD)
    return store


def store_version(store: Store) -> str | None:
    """Version of the tables; none where there are none."""
    with store.reading() as connection:
        return _version(connection)


def migrate(store: Store, version: str) -> None:
    """Bring the tables to a version, `base` for none at all; other processes wait meanwhile.

    Raises:
        ConfigError: There is no such version, or a newer Almanac has written the tables.
    """
    # Alembic takes half a second to import, and next to never has anything to do.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    settings = Config()
    settings.set_main_option("script_location", "forecasting.store:migrations")
    settings.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if version not in known | {"base"}:
        raise ConfigError(f"the version of a store must be among {', '.join(sorted(known))} or base, found {version!r}")
    with store.writing(statement_s=_MIGRATION_S) as connection:
        if store.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
        found = _version(connection)
        if found is not None and found not in known:
            raise ConfigError(
                f"the store {store.address.shown} must be of version {HEAD} at most and is of version {found}, which a newer "
                "Almanac has written; use that one, or restore a backup"
            )
        settings.attributes["connection"] = connection
        goes_down = version == "base" or (found is not None and found > version)
        (command.downgrade if goes_down else command.upgrade)(settings, version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # nosec B608 # a constant
    return None if found is None else str(found)


def store_engine(address: StoreAddress, busy_s: float = BUSY_S) -> Engine:
    """An engine as `Store` needs it; the tables are left as they are."""
    if address.file is None:
        return _postgresql_engine(address)
    engine = create_engine(address.url, connect_args={"timeout": busy_s}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transactions would begin too late; see `begin` below.
        connection.isolation_level = None
        # With WAL readers and the writer do not wait for each other. NORMAL: a commit survives the end of any
        # process; the last ones may be lost with the power.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "mmap_size=268435456"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for another writer: SQLite ends it.
        kind = " IMMEDIATE" if connection.get_execution_options().get("writes") else ""
        connection.exec_driver_sql(f"BEGIN{kind}")

    return engine


def _postgresql_engine(address: StoreAddress) -> Engine:
    # Only where it is used: the driver takes a tenth of a second to import.
    from forecasting.store.patient_connection import OpenConnections

    engine = create_engine(
        address.url, pool_pre_ping=True, pool_timeout=CONNECT_S, hide_parameters=True,
        connect_args={} if "connect_timeout" in address.url.query else {"connect_timeout": round(CONNECT_S)},
    )  # fmt: skip
    connections = OpenConnections(answer_s=CONNECT_S)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, settings: Any) -> Any:
        return connections.connect(*args, **settings)

    @event.listens_for(engine, "checkin")
    def check_in(connection: Any, _record: Any) -> None:
        # Whoever takes it next asks first whether the server is there, and waits no longer for that than for a connection.
        if connection is not None:
            connection.answer_s = CONNECT_S

    @event.listens_for(engine, "engine_disposed")
    def hang_up(_engine: Engine) -> None:
        connections.hang_up()

    return engine


@contextmanager
def _translated(address: StoreAddress) -> Iterator[None]:
    """Turn errors of the driver into ours."""
    try:
        yield
    except DBAPIError as error:
        message = address.scrubbed(str(error.orig)).strip().splitlines()[0] if error.orig else type(error).__name__
        if any(word in message for word in _DAMAGED):
            raise ArtifactError(f"the store {address.shown} is damaged: {message}; restore a backup") from None
        if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
            raise RetryableError(f"the store {address.shown} cannot be used now: {message}") from None
        raise
    except PoolTimeoutError:
        raise RetryableError(
            f"the store {address.shown} cannot be used now: all connections are in use, and wait for it"
        ) from None
