"""Whole series stores on disk."""

from pathlib import Path

from forecasting.schema import SeriesStore
from forecasting.series_store import SeriesStoreWriter


def write_series_store(store: SeriesStore, directory: Path) -> None:
    with SeriesStoreWriter(store.spec, directory) as writer:
        for series in store:
            writer.add(series)
