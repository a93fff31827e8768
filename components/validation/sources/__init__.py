"""Open the table that `data.uri` names, as batches of the columns that the configuration asks for.

One module a kind: `csv_files`, `parquet_files`, `sql`. Each gives a `Source`, whose batches have one schema.
"""

import difflib

from components.validation.examples import example_table
from components.validation.sources.csv_files import CsvSource
from components.validation.sources.parquet_files import ParquetSource
from components.validation.sources.sql import SqlSource
from components.validation.sources.table import Source, SourceTable
from components.validation.wide import series_columns, shared_columns
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError, DataError
from forecasting.source_files import FileFormat, FileSet, find_files
from forecasting.sources import EXAMPLE_SCHEME, SourceKind, source_address

__all__ = ["Source", "SourceTable", "find_source", "needed_columns", "no_rows", "wanted_columns"]

_OF_FILES: dict[FileFormat, type[CsvSource] | type[ParquetSource]] = {
    FileFormat.CSV: CsvSource,
    FileFormat.PARQUET: ParquetSource,
}


def wanted_columns(source: Source, data: DataConfig) -> tuple[str, ...]:
    """Every column that the configuration names, of which the source is known to have one each.

    Raises:
        DataError: A column is missing or there twice, or a pattern names none.
    """
    wanted = needed_columns(data) if data.layout == "long" else wide_columns(source, data)
    check_columns(source, wanted)
    return wanted


def no_rows(source: Source) -> DataError:
    """The error that a source is empty."""
    return DataError(f"{source.name} must have rows, and it has none; it has the columns {', '.join(source.columns)}")


def find_source(data: DataConfig, home: HomeLayout) -> Source:
    """The source behind `data.uri`, of which no row was read yet; an example is made on its first use.

    Raises:
        ConfigError: The address is of no known kind, or an example cannot be made.
        DataError: There is no such file or database, or it cannot be read.
    """
    if data.uri.startswith(EXAMPLE_SCHEME):
        example_table(data.uri, home)
    address = source_address(data.uri, home)
    if address.kind is SourceKind.SQL:
        return SqlSource.open(address, data)
    for key, value in (("query", data.query), ("table", data.table)):
        if value is not None:
            raise ConfigError(f"data.{key} needs a database in data.uri, such as sqlite:///FILE; found {address.name}")
    files: FileSet = find_files(address)
    return _OF_FILES[files.format].open(files, data.csv)


def needed_columns(data: DataConfig) -> tuple[str, ...]:
    """Every column that the configuration names, once, in a stable order."""
    censor = (data.censored_by,) if data.censored_by else ()
    names = (*data.id_columns, *data.time_columns, data.target, *data.observed, *data.known, *data.static, *censor)
    return tuple(dict.fromkeys(names))


def wide_columns(source: Source, data: DataConfig) -> tuple[str, ...]:
    """Every column of a wide table that the configuration names.

    Raises:
        DataError: A pattern names no column.
    """
    return (*shared_columns(data), *series_columns(source.columns, data, name=source.name))


def check_columns(source: Source, wanted: tuple[str, ...]) -> None:
    """Check that a source has some columns, each once.

    Raises:
        DataError: One is missing, which names the nearest, or there twice.
    """
    found = list(source.columns)
    for name in wanted:
        if name not in found:
            nearest = difflib.get_close_matches(name, found, n=1, cutoff=0.0)
            hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
            raise DataError(
                f"{source.name} must have the column {name!r} that the configuration names; it has {', '.join(found)}{hint}"
                f"{source.hint_for_missing()}"
            )
    twice = sorted({name for name in wanted if found.count(name) > 1})
    if twice:
        raise DataError(
            f"{source.name} must have each column once, and it has {twice[0]!r} {found.count(twice[0])} times; rename one"
        )
