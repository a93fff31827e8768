"""Tables as text, a line a row, that tests change in one place, and sources read as a whole."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.validation.sources import SourceTable, find_source, no_rows, wanted_columns
from components.validation.sources.table import collect
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
HEADER = "time,load,temperature"


def hourly_lines(n_hours: int, *, minutes: int = 60) -> list[str]:
    """Lines `time,load,temperature`: a daily pattern with a slow rise, and a temperature unrelated to it."""
    lines = []
    for i in range(n_hours):
        stamp = (FIRST + timedelta(minutes=minutes * i)).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{stamp},{100 + 10 * (i % 24) + i / 10:.1f},{(i * 7919) % 31}")
    return lines


def write_table(path: Path, lines: list[str], header: str = HEADER) -> str:
    """Write a CSV file; returns its path as a `data.uri`."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def open_source(data: DataConfig, home: HomeLayout) -> SourceTable:
    """The columns that `data` names, in the order of the source's rows; the step reads them in batches."""
    source = find_source(data, home)
    table = collect(source, wanted_columns(source, data))
    if not table.table.num_rows:
        raise no_rows(source)
    return table
