"""Which forecasts of a backtest are worth a look: a usual one and the worst one."""

from dataclasses import dataclass

import numpy as np

from forecasting.backtest.grouped import window_ranges
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord

TYPICAL, WORST = "typical", "worst"


@dataclass(frozen=True)
class ExampleReport:
    """One forecast. origin: UTC epoch seconds. mae: of its steps. ratio: that over the mean size of the series' actuals."""

    kind: str
    series: str
    origin: int
    mae: float
    ratio: float


def pick_examples(backtest: BacktestSpec, record: ForecastRecord) -> tuple[ExampleReport, ...]:
    """The forecast whose error is in the middle, and the one whose error is largest.

    Errors of different series are compared as shares of the size of their actuals. Forecasts of which less than half the
    actuals are known, and series that are 0 throughout, are left out.

    Args:
        backtest: Windows and actuals.
        record: What the model forecast.

    Returns:
        Empty where fewer than two forecasts are left.
    """
    n_known, errors, sizes = (np.zeros(backtest.n_windows) for _ in range(3))
    for first, end in window_ranges(backtest):
        actual = backtest.actual[first:end]
        known = np.isfinite(actual) & record.available[first:end] & np.isfinite(record.point[first:end])
        n_known[first:end] = known.sum(axis=1)
        errors[first:end] = np.where(known, np.abs(actual - record.point[first:end]), 0.0).sum(axis=1)
        sizes[first:end] = np.where(known, np.abs(actual), 0.0).sum(axis=1)
    size = np.bincount(backtest.rows, weights=sizes) / np.maximum(np.bincount(backtest.rows, weights=n_known), 1)
    judged = np.flatnonzero((2 * n_known >= backtest.horizon) & (size[backtest.rows] > 0))
    if len(judged) < 2:
        return ()
    ratios = errors[judged] / n_known[judged] / size[backtest.rows[judged]]
    order = np.argsort(ratios, kind="stable")
    places = {TYPICAL: order[(len(order) - 1) // 2], WORST: order[-1]}
    return tuple(
        ExampleReport(
            kind=kind,
            series=backtest.series[backtest.rows[judged[place]]].id,
            origin=int(backtest.origins[judged[place]]),
            mae=float(errors[judged[place]] / n_known[judged[place]]),
            ratio=float(ratios[place]),
        )
        for kind, place in places.items()
    )
