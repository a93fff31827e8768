"""A series as forecasts see it: what its version has, with what was observed since over it."""

from dataclasses import replace

import numpy as np

from forecasting.answering.observed import ObservedRows
from forecasting.answering.series_with_rows import with_rows
from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series


def seen_series(served: ServedModel, observed: ObservedRows | None, series_id: str) -> Series | None:
    """The series of an id; none where neither the version nor the observations have it."""
    found, rows = served.series.get(series_id), None if observed is None else observed.places.get(series_id)
    if observed is None or rows is None:
        return found
    if found is None:
        start = int(observed.given.time[rows].min())
        found = Series(series_id, start, np.empty((0, len(served.spec.value_columns))))
    laid = with_rows(found, observed.given, np.arange(rows.start, rows.stop), served.spec)
    return replace(laid, vintages=found.vintages)


def seen_ids(served: ServedModel, observed: ObservedRows | None) -> list[str]:
    """Ids of all of them, sorted."""
    new = set() if observed is None else observed.places.keys() - served.series.keys()
    return sorted([*served.series, *new]) if new else list(served.series)
