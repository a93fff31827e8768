"""What the errors of a backtest have in common: their autocorrelation and their distribution beside the normal one."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord

Doubles = npt.NDArray[np.float64]

MAX_CELLS = 1 << 22
"""Steps of all series looked at; of more series an even choice is taken."""
N_QUANTILES = 101
"""Points of the comparison with the normal distribution, an odd number so that the median is among them."""
_BAND = 1.96
"""Standard normal deviations between which 95 % lie."""


@dataclass(frozen=True)
class ResidualsReport:
    """Errors actual − median of the freshest forecast of each step, of each series less its mean and over its deviation.

    n_points: errors. n_series: series that have any spread of errors. autocorrelation: at 1, 2, … steps apart, NaN where
    no two errors are so far apart. band: 95 % of the values would lie within ± of it if errors had nothing to do with
    each other. expected, observed: quantiles of the standard normal distribution and of the errors at the same levels.
    """

    n_points: int
    n_series: int
    autocorrelation: tuple[float, ...]
    band: float
    expected: tuple[float, ...]
    observed: tuple[float, ...]


def examine_residuals(
    backtest: BacktestSpec, record: ForecastRecord, *, n_lags: int, max_cells: int = MAX_CELLS
) -> ResidualsReport | None:
    """Autocorrelation and quantiles of the errors of one model.

    Where the horizons of neighbouring origins overlap, a step counts once, by its latest forecast. See Box, Jenkins and
    Reinsel (2015), Time Series Analysis, on what the autocorrelation of errors of several steps ahead looks like: even
    those of a perfect model are correlated up to one horizon apart.

    Args:
        backtest: Windows and actuals.
        record: What the model forecast.
        n_lags: Steps up to which errors are correlated.
        max_cells: Steps of all series that are looked at.

    Returns:
        None where no series has two different errors.
    """
    errors = _standardised(_freshest_errors(backtest, record, max_cells=max_cells))
    known = np.isfinite(errors)
    n_points = int(known.sum())
    if not n_points:
        return None
    levels = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    return ResidualsReport(
        n_points=n_points,
        n_series=int(known.any(axis=1).sum()),
        autocorrelation=_autocorrelation(errors, n_lags),
        band=_BAND / n_points**0.5,
        expected=tuple(NormalDist().inv_cdf(float(level)) for level in levels),
        observed=tuple(np.quantile(errors[known], levels).tolist()),
    )


def _freshest_errors(backtest: BacktestSpec, record: ForecastRecord, *, max_cells: int) -> Doubles:
    """Errors in order of time `[series, steps]`, NaN where there is no forecast or no actual."""
    first = int(backtest.origins.min())
    n_steps = (int(backtest.origins.max()) - first) // backtest.step_s + backtest.horizon
    n_series = len(backtest.series)
    chosen = np.unique(np.linspace(0, n_series - 1, max(1, min(n_series, max_cells // n_steps))).astype(np.int64))
    errors = np.full((len(chosen), n_steps), np.nan)
    for i, row in enumerate(chosen):
        windows = slice(*np.searchsorted(backtest.rows, [row, row + 1]))
        starts = (backtest.origins[windows] - first) // backtest.step_s
        found = np.where(record.available[windows], backtest.actual[windows] - record.point[windows], np.nan)
        # Origins ascend: what a later one says of a step replaces what an earlier one said.
        for start, window in zip(starts, found, strict=True):
            errors[i, start : start + backtest.horizon] = window
    return errors


def _standardised(errors: Doubles) -> Doubles:
    """Each series less its mean and over its standard deviation; NaN where it has none."""
    known = np.isfinite(errors)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centred = errors - np.where(known, errors, 0.0).sum(axis=1, keepdims=True) / counts
    spread = np.sqrt(np.where(known, centred**2, 0.0).sum(axis=1, keepdims=True) / counts)
    size = np.where(known, np.abs(errors), 0.0).max(axis=1, keepdims=True)
    # Rounding leaves a spread where all errors are the same.
    usable = spread > 1e-9 * size
    return np.where(usable, centred / np.where(usable, spread, 1.0), np.nan)


def _autocorrelation(errors: Doubles, n_lags: int) -> tuple[float, ...]:
    known = np.isfinite(errors)
    filled = np.where(known, errors, 0.0)
    variance = float((filled**2).sum() / known.sum())
    found = []
    for lag in range(1, n_lags + 1):
        n_pairs = int((known[:, lag:] & known[:, :-lag]).sum())
        product = float((filled[:, lag:] * filled[:, :-lag]).sum())
        found.append(product / n_pairs / variance if n_pairs else float("nan"))
    return tuple(found)
