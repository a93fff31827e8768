"""Where the rows of each series lie in a store of series or of features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.contracts.artifacts import INDEX_FILE

_STATIC = "static_"


@dataclass(frozen=True)
class SeriesIndex:
    """One entry a series `[N]`, in order of id.

    offset: row of the first step in the store; n_steps: steps; start: time stamp of the first step (UTC
    epoch seconds); static: category codes `[N,S]`.
    """

    ids: tuple[str, ...]
    offset: npt.NDArray[np.int64]
    n_steps: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    static: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def write_series_index(index: SeriesIndex, directory: Path, static_names: tuple[str, ...]) -> None:
    """Write index.parquet."""
    columns = {"series": list(index.ids), "offset": index.offset, "n_steps": index.n_steps, "start": index.start}
    columns |= {f"{_STATIC}{name}": index.static[:, i] for i, name in enumerate(static_names)}
    pq.write_table(pa.table(columns), directory / INDEX_FILE)


def read_series_index(directory: Path, static_names: tuple[str, ...]) -> SeriesIndex:
    """Read index.parquet."""
    table = pq.read_table(directory / INDEX_FILE)
    static = [table[f"{_STATIC}{name}"].to_numpy() for name in static_names]
    return SeriesIndex(
        ids=tuple(table["series"].to_pylist()),
        offset=table["offset"].to_numpy(),
        n_steps=table["n_steps"].to_numpy(),
        start=table["start"].to_numpy(),
        static=np.column_stack(static).astype(np.int64) if static else np.zeros((len(table), 0), dtype=np.int64),
    )
