"""Known covariates of a horizon from a file, in the form in which a forecast request carries them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from forecasting.errors import ConfigError

SERIES, TIMESTAMP = "series", "timestamp"

KnownDocument = dict[str, dict[str, dict[str, float]]]
"""Value by series, column and time (ISO 8601 with zone)."""


def read_known(path: Path, series: Sequence[str]) -> KnownDocument:
    """Read the columns series, timestamp and any known covariates; an empty cell gives no value.

    Args:
        path: CSV with a header, or Parquet.
        series: Ids that are asked for; where it is one, the file may do without the column series.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or has a cell that is no time or no number; the message
            names the row.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--known must end in .csv or .parquet, found {path}")
    found: KnownDocument = {}
    try:
        for where, row in _csv_rows(path) if path.suffix == ".csv" else _parquet_rows(path):
            _add_row(found, row, where=f"--known {path}, {where}", only=series[0] if len(series) == 1 else None)
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


def _add_row(found: KnownDocument, row: Mapping[str, Any], *, where: str, only: str | None) -> None:
    if TIMESTAMP not in row or (SERIES not in row and only is None):
        raise ConfigError(
            f"{where}: must have the columns {SERIES} (or one --series) and {TIMESTAMP}, found {', '.join(row)}"
        )
    time = _time(row[TIMESTAMP], where)
    columns = found.setdefault(str(row[SERIES]) if SERIES in row else str(only), {})
    for name, cell in row.items():
        if name in (SERIES, TIMESTAMP) or cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        values = columns.setdefault(name, {})
        if time in values:
            raise ConfigError(f"{where}: the series has a value of {name!r} at {time} already")
        values[time] = _number(cell, name, where)


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
