"""Versions and observations of a few series."""

import numpy as np

from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from tests.unit.serving.tiny_models import SPEC

HOUR = 3600
START = 1_388_534_400
CUTOFF = START + 10 * HOUR
GRID = GridSpec.of(HOUR, START)
NAN = float("nan")


def served(spec=SPEC, *, extra=0) -> ServedModel:
    values = np.column_stack([np.arange(10.0), np.full(10, 20.0), *(np.ones(10) for _ in range(extra))])
    values[3, 0] = NAN
    series = {one: Series(one, START, values) for one in ("a", "b")}
    return ServedModel("tiny", 1, CUTOFF, spec, series)


def cells(*values: tuple, model="tiny") -> ObservationRows:
    """Cells (series, column, step, number, known_at)."""
    series, names = (tuple(dict.fromkeys(one[place] for one in values)) for place in (0, 1))
    return ObservationRows(
        model=model, series=series, names=names,
        series_at=np.array([series.index(one[0]) for one in values]),
        name_at=np.array([names.index(one[1]) for one in values]),
        time=START + HOUR * np.array([one[2] for one in values]),
        number=np.array([one[3] for one in values], float),
        known_at=np.array([one[4] for one in values]),
    )  # fmt: skip


def told(rows, one: str) -> dict[int, dict[str, float]]:
    """By step, what a series has."""
    part = rows.places[one]
    steps = ((rows.given.time[part] - START) // HOUR).tolist()
    return {
        step: {name: column[part][i] for name, column in rows.given.columns.items() if np.isfinite(column[part][i])}
        for i, step in enumerate(steps)
    }


def post(store: Store, *values: tuple) -> int | None:
    return write_observations(store, cells(*values), GRID, now=CUTOFF).revision
