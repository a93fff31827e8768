"""Batches as rows of one table of a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.types import TypeEngine

from components.batch.batch_table import BatchSpec
from forecasting.errors import ConfigError
from forecasting.store.address import StoreAddress
from forecasting.store.opening import BUSY_S, Store, store_engine

TABLE = "almanac_forecasts"
KEY = ("model", "version", "cutoff", "series", "timestamp")
ROWS_AT_ONCE = 10_000
_LOCK = 4_093_822_418
"""Of pg_advisory_xact_lock: two jobs of one batch take turns."""
_TYPES: Mapping[str, TypeEngine[Any]] = {
    "model": Text(),
    "version": BigInteger(),
    "series": Text(),
    "reason": Text(),
    **dict.fromkeys(("cutoff", "timestamp", "origin"), DateTime(timezone=True)),
    **dict.fromkeys(("degraded", "imputed", "stale"), Boolean()),
}
"""By column; every other one is a number."""


class SqlTable:
    """The table `almanac_forecasts`, made with the first batch; a batch is written in one transaction."""

    def __init__(self, address: StoreAddress) -> None:
        """Write to a database; nothing is asked of it yet.

        Raises:
            ConfigError: The folder of an SQLite file does not exist.
        """
        if address.file is not None and not address.file.resolve().parent.is_dir():
            raise ConfigError(f"there is no folder {address.file.resolve().parent} for {address.shown}")
        self._address, self._store = address, Store(store_engine(address, BUSY_S), address)

    def shown(self, _spec: BatchSpec) -> str:
        """Table and database."""
        return f"the table {TABLE} of {self._address.shown}"

    def has(self, spec: BatchSpec) -> bool:
        """See `BatchPlace.has`.

        Raises:
            RetryableError: The database cannot be used now.
            ArtifactError: It is damaged.
        """
        with self._store.reading() as connection:
            return _has(connection, spec)

    @contextmanager
    def draft(self, _spec: BatchSpec) -> Iterator[Path]:
        """See `BatchPlace.draft`; it is made on this machine, so that no transaction waits for a model."""
        with TemporaryDirectory(prefix="almanac-batch-") as folder:
            yield Path(folder) / "draft.parquet"

    def write(self, spec: BatchSpec, draft: Path) -> bool:
        """See `BatchPlace.write`.

        Raises:
            ConfigError: The table lacks a column, or the database refuses to be written.
            RetryableError: The database cannot be used now.
            ArtifactError: It is damaged.
        """
        try:
            with self._store.writing() as connection:
                if self._store.is_postgresql:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
                if _has(connection, spec):
                    return False
                self._insert(connection, pq.ParquetFile(draft))
        except ProgrammingError as error:
            why = self._address.scrubbed(str(error.orig)).strip().splitlines()[0]
            raise ConfigError(f"{self.shown(spec)} must be one that can be written: {why}") from None
        return True

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _insert(self, connection: Connection, rows: pq.ParquetFile) -> None:
        wanted = rows.schema_arrow.names
        table = Table(
            TABLE,
            MetaData(),
            *(Column(name, _TYPES.get(name, Double()), nullable=name not in KEY) for name in wanted),
            PrimaryKeyConstraint(*KEY),
        )
        table.create(connection, checkfirst=True)
        found = {column["name"] for column in inspect(connection).get_columns(TABLE)}
        if lacking := [name for name in wanted if name not in found]:
            raise ConfigError(
                f"the table {TABLE} of {self._address.shown} must have the columns {', '.join(wanted)}, and lacks "
                f"{', '.join(lacking)}; rename it, and a new one is made"
            )
        for batch in rows.iter_batches(batch_size=ROWS_AT_ONCE):
            connection.execute(table.insert(), batch.to_pylist())


def _has(connection: Connection, spec: BatchSpec) -> bool:
    if not inspect(connection).has_table(TABLE):
        return False
    table = Table(TABLE, MetaData(), *(Column(name, _TYPES[name]) for name in ("model", "version", "cutoff")))
    same = (table.c.model == spec.model, table.c.version == spec.version, table.c.cutoff == spec.moment)
    return connection.execute(select(table.c.version).where(*same).limit(1)).first() is not None
