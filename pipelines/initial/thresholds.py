"""What the seasonal naive forecast does on the test period of a table: where thresholds start from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec, backtest_origins, plan_backtest
from forecasting.errors import DataError
from forecasting.metrics import mae, rmse
from forecasting.naive import naive_point
from forecasting.schema import Series, SeriesStore

_BATCH = 2_048


@dataclass(frozen=True)
class NaiveReport:
    """Errors of the naive forecast of one season on the test period, in the target's unit."""

    season: int
    mae: float
    rmse: float
    n_windows: int


def score_naive(
    store: SeriesStore, seasons: Sequence[int], *, horizon: int, history: int, stride: int
) -> tuple[NaiveReport, ...]:
    """Backtest the naive forecast of each season, as the gate of the model will.

    Args:
        store: Series with their split.
        seasons: Season lengths in steps.
        horizon: Steps ahead.
        history: Steps that a window reads.
        stride: Steps between origins.

    Returns:
        One report a season, the best (least MAE) first.

    Raises:
        DataError: The test period has no actuals.
    """
    origins = backtest_origins(store.spec.split, store.spec.step_s, horizon=horizon, stride=stride)
    backtest = plan_backtest(store, origins, horizon=horizon)
    forecasts = {season: np.empty(backtest.actual.shape) for season in seasons}
    for first in range(0, backtest.n_windows, _BATCH):
        end = min(first + _BATCH, backtest.n_windows)
        windows = _histories(backtest, range(first, end), history)
        for season, forecast in forecasts.items():
            forecast[first:end] = naive_point(windows, season=season, horizon=horizon)
    reports = [
        NaiveReport(season, mae(backtest.actual, forecast), rmse(backtest.actual, forecast), backtest.n_windows)
        for season, forecast in forecasts.items()
    ]
    return tuple(sorted(reports, key=lambda report: report.mae))


def threshold(error: float, share: float) -> float:
    """A share of an error in three digits, rounded down, so that it never asks for less than is said.

    Raises:
        DataError: The error is zero or not finite, so that no share of it is a threshold.
    """
    if not np.isfinite(error) or error <= 0:
        raise DataError(
            f"the seasonal naive forecast must have an error on the test period, found {error:g}: a target that repeats itself "
            "exactly needs no model"
        )
    wanted = share * error
    digit = 10.0 ** (np.floor(np.log10(wanted)) - 2)
    return float(f"{np.floor(wanted / digit + 1e-9) * digit:.3g}")


def _histories(backtest: BacktestSpec, windows: range, length: int) -> npt.NDArray[np.float64]:
    """Target before the origin of some windows `[B,L]`, NaN before the series begins."""
    found = np.full((len(windows), length), np.nan)
    for row, window in enumerate(windows):
        found[row] = _before(backtest.series[backtest.rows[window]], int(backtest.origins[window]), backtest.step_s, length)  # fmt: skip
    return found


def _before(series: Series, origin: int, step_s: int, length: int) -> npt.NDArray[np.float64]:
    end = (origin - series.start) // step_s
    known = series.values[max(0, end - length) : max(0, end), 0]
    # Steps after the end of a series that stopped before the origin are not known.
    after = max(0, min(end, length) - len(known)) if end > series.n_steps else 0
    before = length - len(known) - after
    return np.concatenate([np.full(before, np.nan), known, np.full(after, np.nan)])
