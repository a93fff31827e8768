"""Figures of forecasts over all windows of a task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting import metrics
from forecasting.backtest.origins import BacktestSpec
from forecasting.schema import SeriesStore

Floats = npt.NDArray[np.floating[Any]]
MASE_SEASON = 24
BAND = (0.1, 0.9)


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of a task's windows: point `[W,H]`, mean `[W,H]` where there is one, quantiles `[W,H,Q]` where there are."""

    point: Floats
    mean: Floats | None = None
    quantiles: Floats | None = None
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class ScoringSpec:
    """What forecasts are measured against.

    actual: `[W,H]`. unit: what errors are divided by `[W,1]`; 1, or the standard deviation of the window's series in its
    train cut. mase_scale: mean change over a day before the first origin `[W,1]`.
    """

    actual: Floats
    unit: Floats
    mase_scale: Floats


def scoring_spec(store: SeriesStore, backtest: BacktestSpec, *, standardised: bool) -> ScoringSpec:
    """Units and scales from what lies before the first origin; standard deviations from the train cut."""
    first, train_end = int(backtest.origins.min()), store.spec.split.train_end
    units, scales = [], []
    for series in store:
        known = series.values[: (first - series.start) // store.spec.step_s, 0]
        train = series.values[: (train_end - series.start) // store.spec.step_s, 0]
        units.append(float(np.nanstd(train)) if standardised else 1.0)
        scales.append(metrics.mase_scale(known, MASE_SEASON))
    rows = backtest.rows
    return ScoringSpec(backtest.actual, np.asarray(units)[rows][:, None], np.asarray(scales)[rows][:, None])


def figures(found: Forecasts, spec: ScoringSpec, measures: tuple[str, ...]) -> dict[str, float]:
    """The asked measures that these forecasts have, rounded for a file that people read.

    Squares are of the mean where there is one, everything else of the median. `smape` is in percent, as the competition
    has it; all others in the target's unit or a ratio.
    """
    known = {
        name: _MEASURES[name](found, spec) for name in measures if found.quantiles is not None or name in _OF_POINTS
    }
    return {name: float(f"{value:.5g}") for name, value in known.items()}


def _expected(found: Forecasts) -> Floats:
    return found.point if found.mean is None else found.mean


def _rmse(found: Forecasts, spec: ScoringSpec) -> float:
    return metrics.rmse(spec.actual / spec.unit, _expected(found) / spec.unit)


def _quantiles(found: Forecasts) -> Floats:
    if found.quantiles is None:
        raise ValueError("these forecasts have no quantiles")
    return found.quantiles


def _coverage(found: Forecasts, spec: ScoringSpec) -> float:
    low, high = (_quantiles(found)[:, :, found.levels.index(level)] for level in BAND)
    return metrics.coverage(spec.actual, low, high)


_MEASURES: dict[str, Callable[[Forecasts, ScoringSpec], float]] = {
    "mae": lambda found, spec: metrics.mae(spec.actual / spec.unit, found.point / spec.unit),
    "rmse": _rmse,
    "mse": lambda found, spec: _rmse(found, spec) ** 2,
    "smape": lambda found, spec: 100 * metrics.smape(spec.actual, found.point),
    "mase": lambda found, spec: metrics.mase(spec.actual, found.point, spec.mase_scale),
    "wql": lambda found, spec: metrics.wql(
        spec.actual / spec.unit, _quantiles(found) / spec.unit[:, :, None], found.levels
    ),
    "coverage_80": _coverage,
}
_OF_POINTS = frozenset({"mae", "rmse", "mse", "smape", "mase"})
