"""Open the table that `data.uri` names and read the columns that the configuration asks for."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from components.validation.examples import example_table
from forecasting.config.sections import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError, DataError
from forecasting.sources import EXAMPLE_SCHEME, source_file

_CSV_ENDINGS = (".csv", ".csv.gz")
_PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True)
class SourceTable:
    """Columns of a source as they are written in it: text from CSV, typed columns from Parquet.

    rows: where the rows of the table stand in the source; none: the table has all of them.
    """

    path: Path
    table: pa.Table
    unused_columns: tuple[str, ...]
    is_csv: bool
    rows: npt.NDArray[np.int64] | None = None

    def row_name(self, row: int) -> str:
        """How a reader finds a row: the line of a CSV file (line 1 has the names), else the row from 1."""
        place = row if self.rows is None else int(self.rows[row])
        return f"line {place + 2}" if self.is_csv else f"row {place + 1}"

    def where(self, chosen: npt.NDArray[np.bool_]) -> "SourceTable":
        """Some of the rows, which keep their names."""
        rows = np.flatnonzero(chosen) if self.rows is None else self.rows[chosen]
        return replace(self, table=self.table.filter(pa.array(chosen)), rows=rows)


def open_source(data: DataConfig, home: HomeLayout) -> SourceTable:
    """Read the columns that `data` names, in the order of the source's rows.

    Raises:
        ConfigError: The address is of no known kind, or an example cannot be made.
        DataError: The file or a column is missing, the file cannot be read, or it has no rows.
    """
    path = source_path(data, home)
    is_csv = path.name.lower().endswith(_CSV_ENDINGS)
    if not is_csv and not path.name.lower().endswith(_PARQUET_ENDINGS):
        known = ", ".join((*_CSV_ENDINGS, *_PARQUET_ENDINGS))
        raise ConfigError(f"data.uri must name a file that ends in one of {known}; found {path.name!r}")
    if not path.is_file():
        raise DataError(
            f"data.uri must name an existing file, and there is none at {path}; a relative path starts at the configuration"
        )
    wanted = needed_columns(data)
    try:
        names = _csv_columns(path) if is_csv else pq.read_schema(path).names
        _check_columns(names, wanted, path)
        table = _read_csv(path, wanted) if is_csv else pq.read_table(path, columns=list(wanted), partitioning=None)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as {'CSV' if is_csv else 'Parquet'}: {_first_line(error)}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)}") from error
    if not table.num_rows:
        raise DataError(f"{path} must have rows, and it has none; it has the columns {', '.join(names)}")
    return SourceTable(path, table, tuple(name for name in names if name not in wanted), is_csv)


def source_path(data: DataConfig, home: HomeLayout) -> Path:
    """The file behind `data.uri`; an example is made on its first use.

    Raises:
        ConfigError: The address is of no known kind, or an example cannot be made.
    """
    return example_table(data.uri, home) if data.uri.startswith(EXAMPLE_SCHEME) else source_file(data.uri, home)


def needed_columns(data: DataConfig) -> tuple[str, ...]:
    """Every column that the configuration names, once, in a stable order."""
    censor = (data.censored_by,) if data.censored_by else ()
    names = (*data.id_columns, data.time_column, data.target, *data.observed, *data.known, *data.static, *censor)
    return tuple(dict.fromkeys(names))


def _check_columns(found: list[str], wanted: tuple[str, ...], path: Path) -> None:
    for name in wanted:
        if name not in found:
            nearest = difflib.get_close_matches(name, found, n=1, cutoff=0.0)
            hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
            raise DataError(
                f"{path} must have the column {name!r} that the configuration names; it has {', '.join(found)}{hint}"
            )
    twice = sorted({name for name in wanted if found.count(name) > 1})
    if twice:
        raise DataError(
            f"{path} must have each column once, and it has {twice[0]!r} {found.count(twice[0])} times; rename one"
        )


def _csv_columns(path: Path) -> list[str]:
    # Blocks of 1 MiB: only the first is read.
    with pyarrow.csv.open_csv(path, parse_options=_csv_dialect()) as reader:
        return list(reader.schema.names)


def _read_csv(path: Path, columns: tuple[str, ...]) -> pa.Table:
    # Everything as text: what cannot be read is then named with its row, and a name like NA stays a name.
    options = pyarrow.csv.ConvertOptions(
        include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    return pyarrow.csv.read_csv(path, parse_options=_csv_dialect(), convert_options=options)


def _csv_dialect() -> pyarrow.csv.ParseOptions:
    return pyarrow.csv.ParseOptions(delimiter=",")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
