"""A batch of forecasts as a table, what names it, and where it is written."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.forecasts_table import SECONDS, SKIPPED, forecasts_table
from forecasting.answering.plan import SkippedRecord


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

    def draft(self, spec: BatchSpec) -> AbstractContextManager[Path]:
        """A file, there while the block runs, in which a batch is made ready; no reader takes it for one."""

    def write(self, spec: BatchSpec, draft: Path) -> bool:
        """Write all of a batch, a Parquet file, or nothing where it is there by now; whether it was written."""


class DraftWriter:
    """Writes the file of a batch chunk by chunk; the file is whole when `close` returns."""

    def __init__(self, spec: BatchSpec, path: Path) -> None:
        """Begin a file; the columns are those of the first chunk."""
        self._spec, self._path = spec, path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "DraftWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, found: ForecastsRecord) -> None:
        """Append forecasts."""
        rows = batch_table(self._spec, found)
        if self._writer is None:
            # Who was skipped is known at the end.
            about = {name: value for name, value in rows.schema.metadata.items() if name != SKIPPED.encode()}
            self._writer = pq.ParquetWriter(self._path, rows.schema.with_metadata(about))
        self._writer.write_table(rows.replace_schema_metadata(self._writer.schema.metadata))

    def finish(self, skipped: Sequence[SkippedRecord]) -> None:
        """Say which series have no forecast."""
        if self._writer is not None:
            self._writer.add_key_value_metadata({SKIPPED: orjson.dumps([asdict(one) for one in skipped]).decode()})

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()


def batch_table(spec: BatchSpec, found: ForecastsRecord) -> pa.Table:
    """One row a series and step: `model`, `version`, `cutoff`, then the columns of an Arrow answer of the gateway.

    `limited_by` is left out: with a cutoff, nothing limits where a forecast starts.
    """
    rows = forecasts_table(found).drop_columns(["limited_by"])
    n_rows = rows.num_rows
    about = {
        "model": pa.repeat(pa.scalar(spec.model), n_rows),
        "version": pa.repeat(pa.scalar(spec.version, pa.int64()), n_rows),
        "cutoff": pa.repeat(pa.scalar(spec.cutoff, pa.int64()).cast(SECONDS), n_rows),
    }
    return pa.table(about | {name: rows.column(name) for name in rows.column_names}, metadata=rows.schema.metadata)
