"""Tables as text, a line a row, that tests change in one place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

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
