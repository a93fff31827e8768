"""How much a model suffers from outliers in what it reads: its error after some of the history was disturbed, over that before."""

import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec, select_windows
from forecasting.backtest.score import ForecastRecord
from forecasting.config.sections import OutliersConfig
from forecasting.schema import Series, SeriesSpec

_NORMAL_SCALE = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""


@dataclass(frozen=True)
class OutlierSpec:
    """Windows to be forecast once more, from disturbed histories. places: which windows of the whole backtest they are `[w]`."""

    places: npt.NDArray[np.int64]
    backtest: BacktestSpec


def disturb_windows(backtest: BacktestSpec, table: SeriesSpec, *, settings: OutliersConfig) -> OutlierSpec:
    """Some windows of a backtest with outliers in the target and the observed columns of their series; actuals stay.

    Each known value is an outlier with the declared probability: it lies the declared number of robust deviations
    (1.4826 times the median absolute deviation of its column in the train cut of its series) above or below what it was. A
    column that was never negative does not become so. The same seed disturbs a series in the same way, whatever other
    series there are.

    Args:
        backtest: All windows, of which `settings.n_windows` are taken at equal distances. Where there are fewer, all are taken
            and their series are disturbed again and again, each time elsewhere: few windows meet few outliers.
        table: Columns of the series, and the end of the train cut.
        settings: Share, size and seed.
    """
    n_asked = min(settings.n_windows, backtest.n_windows)
    chosen = np.zeros(backtest.n_windows, dtype=np.bool_)
    chosen[np.rint(np.linspace(0, backtest.n_windows - 1, n_asked)).astype(np.int64)] = True
    part = select_windows(backtest, chosen)
    asked, rows = np.unique(part.rows, return_inverse=True)
    n_draws = max(1, settings.n_windows // n_asked)
    series = tuple(
        disturbed_series(backtest.series[i], table, settings=settings, draw=draw)
        for draw in range(n_draws)
        for i in asked.tolist()
    )
    draws = np.repeat(np.arange(n_draws), n_asked)
    repeated = replace(
        part,
        series=series,
        rows=np.tile(rows, n_draws) + draws * len(asked),
        folds=np.tile(part.folds, n_draws),
        origins=np.tile(part.origins, n_draws),
        actual=np.tile(part.actual, (n_draws, 1)),
    )
    return OutlierSpec(np.tile(np.flatnonzero(chosen), n_draws), repeated)


def disturbed_series(series: Series, table: SeriesSpec, *, settings: OutliersConfig, draw: int = 0) -> Series:
    """A series with outliers in its target and observed columns; see `disturb_windows`. Each draw has them elsewhere."""
    n_columns = 1 + len(table.observed)
    rng = np.random.default_rng([settings.seed, draw, zlib.crc32(series.id.encode())])
    values = series.values.copy()
    shape = (len(values), n_columns)
    hit = rng.random(shape) < settings.share
    sign = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    n_train = max(0, (table.split.train_end - series.start) // table.step_s)
    for i in range(n_columns):
        past = values[:n_train, i] if np.isfinite(values[:n_train, i]).any() else values[:, i]
        known = past[np.isfinite(past)]
        if not len(known):
            continue
        moved = values[:, i] + sign[:, i] * settings.deviations * robust_deviation(known)
        if known.min() >= 0:
            moved = np.maximum(moved, 0.0)
        values[:, i] = np.where(hit[:, i], moved, values[:, i])
    return replace(series, values=values)


def robust_deviation(known: npt.NDArray[np.float64]) -> float:
    """1.4826 times the median absolute deviation; the standard deviation where more than half of the values are equal."""
    deviation = _NORMAL_SCALE * float(np.median(np.abs(known - np.median(known))))
    return deviation or float(known.std())


def outlier_ratio(outliers: OutlierSpec, *, before: ForecastRecord, after: ForecastRecord) -> float:
    """MAE of the disturbed forecasts over that of the others, on the steps that both have.

    Args:
        outliers: The windows.
        before: Forecasts of the whole backtest.
        after: Forecasts of `outliers.backtest`.

    Returns:
        NaN where there is no such step, no error before, or a forecast that is not finite.
    """
    actual = outliers.backtest.actual
    common = np.isfinite(actual) & before.available[outliers.places] & after.available
    undisturbed = np.abs(actual - before.point[outliers.places])[common].sum()
    disturbed = np.abs(actual - after.point)[common].sum()
    return float(disturbed / undisturbed) if undisturbed > 0 and np.isfinite(disturbed) else float("nan")
