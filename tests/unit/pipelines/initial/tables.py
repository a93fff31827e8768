"""Small tables as `almanac init` looks at them."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from components.validation.sources import SourceTable
from components.validation.sources.table import RowPlaces
from pipelines.initial.look import TableLook, look_at_columns


def look_of(*, is_csv: bool = True, **columns: object) -> TableLook:
    return look_at_columns(
        SourceTable("t.csv", pa.table(columns), places=RowPlaces("line" if is_csv else "row", 2 if is_csv else 1))
    )


def days(n: int, first: str = "2024-01-01") -> list[str]:
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return [f"{start + timedelta(days=i):%Y-%m-%d}" for i in range(n)]


def wave(n: int) -> list[str]:
    """Different numbers, none of them 0 or 1."""
    return [f"{10 + (i * 7) % 13 + i / 100:.2f}" for i in range(n)]
