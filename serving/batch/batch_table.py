"""A batch of forecasts as a table, and what names it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from serving.gateway.arrow_bodies import forecasts_table
from serving.gateway.forecasts import ForecastsRecord

_SECONDS = pa.timestamp("s", tz="UTC")


@dataclass(frozen=True)
class BatchSpec:
    """What a batch is of; there is one at most of each. cutoff: epoch seconds."""

    model: str
    version: int
    cutoff: int

    @property
    def moment(self) -> datetime:
        """The cutoff as an aware time."""
        return datetime.fromtimestamp(self.cutoff, UTC)


class BatchPlace(Protocol):
    """Where batches are written."""

    def shown(self, spec: BatchSpec) -> str:
        """Where a batch is, for people; without secrets."""

    def has(self, spec: BatchSpec) -> bool:
        """Whether a batch is there."""

    def write(self, spec: BatchSpec, rows: pa.Table) -> bool:
        """Write all of a batch or, where it is there by now, nothing; whether it was written."""


def batch_table(spec: BatchSpec, found: ForecastsRecord) -> pa.Table:
    """One row a series and step: `model`, `version`, `cutoff`, then the columns of an Arrow answer of the gateway.

    `limited_by` is left out: with a cutoff, nothing limits where a forecast starts.
    """
    rows = forecasts_table(found).drop_columns(["limited_by"])
    n_rows = rows.num_rows
    about = {
        "model": pa.repeat(pa.scalar(spec.model), n_rows),
        "version": pa.repeat(pa.scalar(spec.version, pa.int64()), n_rows),
        "cutoff": pa.repeat(pa.scalar(spec.cutoff, pa.int64()).cast(_SECONDS), n_rows),
    }
    return pa.table(about | {name: rows.column(name) for name in rows.column_names}, metadata=rows.schema.metadata)
