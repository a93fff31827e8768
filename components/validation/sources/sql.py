"""Tables of a database, read by SQLAlchemy in batches."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
from typing_extensions import override

from components.validation.sources.table import PartBatch, Source
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from forecasting.sources import SourceAddress, reading
from forecasting.sql_sources import shown_url, sqlite_file

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine, Executable

_BATCH_ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class SqlSource(Source):
    """Rows of a query or of a table, streamed by the server where it can.

    The type of a column is that of its values in the first batch; numbers are float64. text: columns that are text
    where the first batch has no value of them; other such columns are numbers.
    """

    address: SourceAddress
    statement: str
    is_table: bool
    text: tuple[str, ...]

    @classmethod
    def open(cls, address: SourceAddress, data: DataConfig) -> "SqlSource":
        """Ask for the names of the columns.

        Raises:
            ConfigError: There is neither a query nor a table, or the driver is not installed.
            DataError: The database cannot be reached, or it refuses the query.
        """
        statement = data.query if data.query is not None else data.table
        if statement is None:
            raise ConfigError(
                f"data.query or data.table must be set where data.uri is a database; found {address.name}"
            )
        name, is_table = shown_url(address), data.query is None
        made = cls(
            name=name,
            short_name=statement if is_table else f"query of {name}",
            columns=(),
            address=address,
            statement=statement,
            is_table=is_table,
            text=(*data.id_columns, *data.static, *_text_of_time(data)),
        )
        return replace(made, columns=made._found_columns())

    @override
    def batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        schema: pa.Schema | None = None
        n_before = 0
        with self._answer(columns) as result:
            places = [list(result.keys()).index(name) for name in columns]
            for rows in result.partitions(_BATCH_ROWS):
                lists = [[row[place] for row in rows] for place in places]
                if schema is None:
                    schema = pa.schema([self._field(name, found) for name, found in zip(columns, lists, strict=True)])
                arrays = [self._array(field, values, n_before) for field, values in zip(schema, lists, strict=True)]
                n_before += len(rows)
                yield PartBatch(0, pa.RecordBatch.from_arrays(arrays, schema=schema))

    def _field(self, name: str, values: Sequence[Any]) -> pa.Field:
        first = next((value for value in values if value is not None), None)
        if first is None:
            return pa.field(name, pa.string() if name in self.text else pa.float64())
        return pa.field(name, _type_of(first, is_text=name in self.text))

    def _array(self, field: pa.Field, values: Sequence[Any], n_before: int) -> pa.Array:
        try:
            if pa.types.is_floating(field.type):
                return pa.array([None if value is None else _number(value) for value in values], pa.float64())
            return pa.array(values, field.type)
        except (pa.ArrowException, TypeError, ValueError) as error:
            row, value = _first_odd(field, values)
            raise DataError(
                f"{self.name}: column {field.name!r} must hold values of one type, {field.type}; row {n_before + row + 1} has {value!r}"
            ) from error

    def _found_columns(self) -> tuple[str, ...]:
        """Names of the columns, by a statement that gives no rows where the database takes one."""
        with self._connected() as connection:
            names = self._columns_without_rows(connection)
        if names is not None:
            return names
        with self._answer(()) as result:
            return tuple(result.keys())

    def _columns_without_rows(self, connection: "Connection") -> tuple[str, ...] | None:
        """Columns of `SELECT * FROM (…) WHERE 1 = 0`; none where that is refused, so that the query itself is asked.

        Refused are statements that stand in no parentheses in this database (one that writes, one with two columns of
        a name, an ORDER BY), which are told of in their own words when they run as they are.
        """
        import sqlalchemy as sql

        if self.is_table:
            inner = self._statement(())
            statement: Executable = inner.where(sql.text("1 = 0")) if isinstance(inner, sql.Select) else inner
        else:
            text = self.statement.strip().rstrip(";").replace(":", r"\:")
            # The line end closes a comment at the end of the query.
            inner = sql.text(f"({text}\n) almanac_columns")
            statement = sql.select(sql.text("*")).select_from(inner).where(sql.text("1 = 0"))
        try:
            result = connection.execute(statement)
        except sql.exc.DBAPIError:
            return None
        return tuple(result.keys())

    @contextmanager
    def _connected(self) -> "Iterator[Connection]":
        with reading(self.address):
            engine = _engine(self.address)
            try:
                with engine.connect() as connection:
                    if engine.dialect.name == "postgresql":
                        connection = connection.execution_options(postgresql_readonly=True)
                    yield connection
            finally:
                engine.dispose()

    @contextmanager
    def _answer(self, columns: tuple[str, ...]) -> "Iterator[CursorResult[Any]]":
        with self._connected() as connection:
            yield _execute(connection, self._statement(columns), {"yield_per": _BATCH_ROWS})

    def _statement(self, columns: tuple[str, ...]) -> "Executable":
        import sqlalchemy as sql

        if not self.is_table:
            # A colon in the text of a query is no parameter.
            return sql.text(self.statement.replace(":", r"\:"))
        schema, _, name = self.statement.rpartition(".")
        named: list[Any] = [sql.column(column) for column in columns] or [sql.literal_column("*")]
        return sql.select(*named).select_from(sql.table(name, schema=schema or None))


def _execute(connection: "Connection", statement: "Executable", options: dict[str, Any]) -> "CursorResult[Any]":
    result = connection.execute(statement, execution_options=options)
    if not result.returns_rows:
        raise ConfigError("data.query must be a query that gives rows")
    return result


def _engine(address: SourceAddress) -> "Engine":
    from sqlalchemy import create_engine, exc
    from sqlalchemy.pool import NullPool

    file = sqlite_file(address)
    if file is not None:
        # Reading must not change the file, by whose digest it is known.
        url = f"file:{quote(str(file.resolve()))}?mode=ro"
        return create_engine("sqlite://", creator=lambda: sqlite3.connect(url, uri=True), poolclass=NullPool)
    try:
        return create_engine(address.uri, poolclass=NullPool)
    except (exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"data.uri names a database whose driver is not installed ({address.scrubbed(str(error))}); add its package to the "
            "environment of the run, or name another driver (postgresql+psycopg://…)"
        ) from None


def _text_of_time(data: DataConfig) -> tuple[str, ...]:
    """Columns of times that may be text: those of the numbers of an hour or a year are not."""
    parts = data.time_parts
    return (data.time_column,) if parts is None else tuple(name for name in (parts.date, parts.time) if name)


def _type_of(value: Any, *, is_text: bool) -> pa.DataType:
    if isinstance(value, datetime):
        return pa.timestamp("us", tz="UTC" if value.tzinfo else None)
    if isinstance(value, date):
        return pa.date32()
    if isinstance(value, int) and is_text:
        return pa.int64()
    return pa.float64() if isinstance(value, bool | int | float | Decimal) else pa.string()


def _number(value: Any) -> float:
    if isinstance(value, bool | int | float | Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


def _first_odd(field: pa.Field, values: Sequence[Any]) -> tuple[int, Any]:
    for row, value in enumerate(values):
        try:
            if value is not None:
                pa.array([_number(value) if pa.types.is_floating(field.type) else value], field.type)
        except (pa.ArrowException, TypeError, ValueError):
            return row, value
    return 0, values[0]
