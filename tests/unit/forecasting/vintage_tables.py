"""Series whose temperature comes by vintage, and restated copies of them."""

from dataclasses import replace

import numpy as np

from forecasting.schema import Series
from forecasting.vintages import SeriesVintages
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series


def random_vintages(n_steps: int, *, seed: int, column: str = "temperature", holes: float = 0.2) -> SeriesVintages:
    """Issues at random times, each about some of the next 40 hours; some steps were never spoken of."""
    rng = np.random.default_rng(seed)
    issues = START + np.sort(rng.choice(n_steps * 60, n_steps // 4, replace=False)) * 60
    steps, issued = [], []
    for at in issues.tolist():
        first = -(-(at - START) // HOUR_S)
        ahead = START + HOUR_S * np.arange(first, min(first + 40, n_steps), dtype=np.int64)
        ahead = ahead[rng.random(len(ahead)) >= holes]
        steps.append(ahead)
        issued.append(np.full(len(ahead), at))
    timestamp, issued_at = np.concatenate(steps), np.concatenate(issued)
    order = np.lexsort((issued_at, timestamp))
    values = rng.normal(15.0, 6.0, (len(order), 1))
    return SeriesVintages((column,), timestamp[order], issued_at[order], values)


def with_standing(series: Series, vintages: SeriesVintages) -> Series:
    """A series whose last column has what stood at each step."""
    values = series.values.copy()
    values[:, -1] = vintages.standing(series.timestamps(HOUR_S))[:, 0]
    return replace(series, values=values, vintages=vintages)


def issued_series(n_steps: int = 400, *, seed: int = 0, static: tuple[int, ...] = ()) -> Series:
    """`gappy_series` with its temperature by vintage."""
    series = gappy_series(n_steps, seed=seed, static=static)
    return with_standing(series, random_vintages(n_steps, seed=seed))


def restated(series: Series, origin: int, value: float) -> Series:
    """The same series in a table where everything that was issued after an origin is another value."""
    vintages = series.vintages
    assert vintages is not None
    values = np.where((vintages.issued_at > origin)[:, None], value, vintages.values)
    return with_standing(series, replace(vintages, values=values))
