"""Partitions by time on PostgreSQL: made before rows need them, dropped when their time is over."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

_DAY_S = 86_400
_LOCK = 4_093_822_418
"""Of pg_advisory_xact_lock: two processes make or drop the same partition one after another."""


@dataclass(frozen=True)
class PartitionSpec:
    """How a table is cut: parts of `width_s`, from multiples of it on."""

    table: str
    width_s: int

    def start(self, time: int) -> int:
        """Where the part of a time begins."""
        return time // self.width_s * self.width_s

    def name(self, start: int) -> str:
        """Table of one part; a minus sign is no part of a name."""
        return f"{self.table}_{'m' if start < 0 else ''}{abs(start)}"


FORECAST_PARTS = PartitionSpec("forecasts", 7 * _DAY_S)
OBSERVATION_PARTS = PartitionSpec("observation_blocks", 91 * _DAY_S)
PARTS = (FORECAST_PARTS, OBSERVATION_PARTS)


def ensure_partitions(connection: Connection, spec: PartitionSpec, times: Iterable[int]) -> None:
    """Make the partitions that some times need; does nothing on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    wanted = {spec.start(time) for time in times}
    if wanted <= set(partition_starts(connection, spec)):
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    for start in sorted(wanted - set(partition_starts(connection, spec))):
        connection.execute(
            text(
                f"CREATE TABLE {spec.name(start)} PARTITION OF {spec.table} "
                f"FOR VALUES FROM ({start}) TO ({start + spec.width_s})"
            )
        )


def drop_partitions(connection: Connection, spec: PartitionSpec, before: int) -> list[str]:
    """Drop the partitions that end before a time; returns their names."""
    # Who waited for another one that drops them finds none left.
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    over = [start for start in partition_starts(connection, spec) if start + spec.width_s <= before]
    for start in over:
        connection.execute(text(f"DROP TABLE IF EXISTS {spec.name(start)}"))
    return [spec.name(start) for start in over]


def partition_starts(connection: Connection, spec: PartitionSpec) -> list[int]:
    """Where each partition that there is begins, ascending."""
    rows = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(:name)"
        ),
        {"name": spec.table},
    )
    ends = [str(name).removeprefix(f"{spec.table}_") for (name,) in rows]
    return sorted(-int(end[1:]) if end.startswith("m") else int(end) for end in ends)
