"""Is a forecast a forecast at all? Looked at before accuracy."""

from dataclasses import dataclass

import numpy as np

from forecasting.backtest.grouped import window_ranges
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord
from forecasting.crossed_quantiles import is_crossed
from forecasting.metrics.block import Doubles

_LEAST_RANGE_SHARE = 0.1


@dataclass(frozen=True)
class SanityReport:
    """What no model may do.

    missing_ratio: share of asked steps without a forecast: it is not available, or every number of it is NaN.
    nonfinite_ratio: share of the numbers of the other steps that are NaN or infinite. crossed_ratio: share of steps whose quantiles do not ascend. range_ratio: largest distance of a finite
    forecast beyond what its series had before the test period, in units of the range of its series.
    """

    missing_ratio: float
    nonfinite_ratio: float
    crossed_ratio: float
    range_ratio: float


def check_sanity(backtest: BacktestSpec, record: ForecastRecord, *, test_start: int) -> SanityReport:
    """Look at every number that a model forecast.

    Args:
        backtest: Windows.
        record: What the model forecast.
        test_start: Start of the test period, UTC epoch seconds; history is what lies before it.
    """
    low, high, scale = _history_ranges(backtest, test_start)
    n_steps = n_numbers = n_bad = n_crossed = 0
    farthest = 0.0
    for first, end in window_ranges(backtest):
        rows = backtest.rows[first:end]
        values = record.quantiles[first:end].astype(np.float64)
        if record.mean is not None:
            values = np.concatenate([values, record.mean[first:end, :, None]], axis=2)
        finite = np.isfinite(values)
        given = record.available[first:end] & ~np.isnan(values).all(axis=2)
        n_steps += int(given.sum())
        n_numbers += int(given.sum()) * values.shape[2]
        n_bad += int((~finite & given[..., None]).sum())
        n_crossed += int((is_crossed(record.quantiles[first:end].astype(np.float64)) & given).sum())
        beyond = np.maximum(low[rows][:, None, None] - values, values - high[rows][:, None, None])
        ratio = np.where(finite & given[..., None], beyond / scale[rows][:, None, None], 0.0)
        farthest = max(farthest, float(ratio.max(initial=0.0)))
    n_asked = record.available.size
    return SanityReport(
        missing_ratio=1 - n_steps / n_asked,
        nonfinite_ratio=n_bad / n_numbers if n_numbers else 0.0,
        crossed_ratio=n_crossed / n_steps if n_steps else 0.0,
        range_ratio=farthest,
    )


def _history_ranges(backtest: BacktestSpec, test_start: int) -> tuple[Doubles, Doubles, Doubles]:
    """Smallest and largest value of each series before the test period, and the range that distances are counted in.

    A series without history takes the values of all series, and a range below a tenth of that of all series counts as that
    tenth: series that hardly ever sold anything may sell something.
    """
    bounds = np.full((len(backtest.series), 2), np.nan)
    for i, series in enumerate(backtest.series):
        past = series.values[: max(0, (test_start - series.start) // backtest.step_s), 0]
        known = past[np.isfinite(past)]
        if len(known):
            bounds[i] = known.min(), known.max()
    if not np.isfinite(bounds).any():
        # Nothing lies before the test period: nothing is far outside of it.
        return np.full(len(bounds), -np.inf), np.full(len(bounds), np.inf), np.ones(len(bounds))
    low, high = np.nanmin(bounds[:, 0]), np.nanmax(bounds[:, 1])
    bounds = np.where(np.isfinite(bounds), bounds, [low, high])
    # A target that has always been the same has no range; its size is what is left to compare with.
    least = _LEAST_RANGE_SHARE * (high - low) or max(abs(high), 1.0)
    return bounds[:, 0], bounds[:, 1], np.maximum(bounds[:, 1] - bounds[:, 0], least)
