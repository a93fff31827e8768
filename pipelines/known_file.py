"""Known covariates of a horizon from a file, in the form in which a forecast request carries them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError
from pipelines.known_times import table_time

SERIES, TIMESTAMP = "series", "timestamp"

KnownDocument = dict[str, dict[str, dict[str, float]]]
"""Value by series, column and time (ISO 8601 with zone)."""


def read_known(path: Path, series: Sequence[str], data: DataConfig | None = None) -> KnownDocument:
    """Read the columns series, timestamp and any known covariates; an empty cell gives no value.

    Args:
        path: CSV with a header, or Parquet.
        series: Ids that are asked for; where it is one, the file may do without the column series.
        data: How the table of a configuration writes its times; a file may have its columns of time in the place of
            timestamp. None: it may not.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or has a cell that is no time or no number; the message
            names the row.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--known must end in .csv or .parquet, found {path}")
    found: KnownDocument = {}
    try:
        for where, row in _csv_rows(path) if path.suffix == ".csv" else _parquet_rows(path):
            _add_row(found, row, f"--known {path}, {where}", only=series[0] if len(series) == 1 else None, data=data)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--known {path} cannot be read: {error}") from error
    if not found:
        raise ConfigError(f"--known {path} must have rows with values, and it has none")
    return found


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(f"--known {path}, line {reader.line_num}: must have as many cells as the header")
            yield f"line {reader.line_num}", row


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise ConfigError(f"--known {path} cannot be read: {error}") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"row {number}", row


def _add_row(
    found: KnownDocument, row: Mapping[str, Any], where: str, *, only: str | None, data: DataConfig | None
) -> None:
    row = {name.strip(): cell for name, cell in row.items()}
    times = _time_columns(row, data)
    if not times or (SERIES not in row and only is None):
        own = (
            ""
            if data is None or data.time_columns == (TIMESTAMP,)
            else f", or for the time {', '.join(data.time_columns)}"
        )
        raise ConfigError(
            f"{where}: must have the columns {SERIES} (or one --series) and {TIMESTAMP}{own}, found {', '.join(row)}"
        )
    time = (
        _time(row[TIMESTAMP], where)
        if data is None or not _is_own(times, data)
        else table_time(row, data, where).isoformat()
    )
    not_values = {SERIES, *times}.difference(data.known if data else ())
    columns = found.setdefault(str(row[SERIES]) if SERIES in row else str(only), {})
    for name, cell in row.items():
        if name in not_values or cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        values = columns.setdefault(name, {})
        if time in values:
            raise ConfigError(f"{where}: the series has a value of {name!r} at {time} already")
        values[time] = _number(cell, name, where)


def _time_columns(row: Mapping[str, Any], data: DataConfig | None) -> tuple[str, ...]:
    """Columns of the time of a row: timestamp, else those of the table, else none."""
    own = () if data is None else data.time_columns
    return (TIMESTAMP,) if TIMESTAMP in row else own if own and all(name in row for name in own) else ()


def _is_own(times: tuple[str, ...], data: DataConfig) -> bool:
    """Whether times are written as in the table, not as everywhere."""
    return times == data.time_columns and (times != (TIMESTAMP,) or data.time_format is not None)


def _time(cell: Any, where: str) -> str:
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
    except ValueError as error:
        raise ConfigError(
            f"{where}: {TIMESTAMP} must be an ISO 8601 time such as 2026-01-31T00:00:00Z, found {cell!r}"
        ) from error
    if moment.tzinfo is None:
        raise ConfigError(f"{where}: {TIMESTAMP} must carry a time zone (Z for UTC), found {cell!r}")
    return moment.isoformat()


def _number(cell: Any, name: str, where: str) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {name} must be a number, found {cell!r}") from error
    if value - value != 0:
        raise ConfigError(f"{where}: {name} must be a finite number, found {cell!r}")
    return value
