"""Two models on the steps that both forecast: by origin for significance, by series for who got worse."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.backtest.grouped import window_ranges
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord
from forecasting.metrics.block import Doubles
from forecasting.metrics.significance import SignificanceReport, better_than


@dataclass(frozen=True)
class LossSums:
    """Common steps of groups and the sums of absolute errors of both models over them `[G]`."""

    n_points: npt.NDArray[np.int64]
    model: Doubles
    other: Doubles


@dataclass(frozen=True)
class PairReport:
    """Two models on common steps. by_origin: in order of time. overlap: origins whose horizons overlap."""

    by_origin: LossSums
    by_series: LossSums
    overlap: int

    @property
    def n_common_origins(self) -> int:
        """Origins at which both have a forecast of a known actual."""
        return int((self.by_origin.n_points > 0).sum())

    @property
    def ratio(self) -> float:
        """MAE of the model over that of the other; NaN where there are no common steps or the other has no error."""
        model, other = float(self.by_origin.model.sum()), float(self.by_origin.other.sum())
        return model / other if self.n_common_origins and (other > 0 or np.isnan(other)) else float("nan")

    def significance(self) -> SignificanceReport:
        """Whether the model is better than the other, by mean absolute error at each origin."""
        counts = np.where(self.by_origin.n_points > 0, self.by_origin.n_points, np.nan)
        return better_than(self.by_origin.model / counts, self.by_origin.other / counts, overlap=self.overlap)


def compare_pair(backtest: BacktestSpec, model: ForecastRecord, other: ForecastRecord) -> PairReport:
    """Absolute errors of the median of two models on the steps that both forecast."""
    stamps = np.unique(backtest.origins)
    stride_s = int(np.diff(stamps).min()) if len(stamps) > 1 else backtest.horizon * backtest.step_s
    # Counted in strides, so that an origin without any window keeps its place in time.
    numbers = (backtest.origins - stamps[0]) // stride_s
    n_origins, n_series = int(numbers.max()) + 1, len(backtest.series)
    sums = {kind: np.zeros((3, size)) for kind, size in (("origin", n_origins), ("series", n_series))}
    for first, end in window_ranges(backtest):
        errors = _window_errors(backtest, model, other, first=first, end=end)
        for kind, groups in (("origin", numbers[first:end]), ("series", backtest.rows[first:end])):
            for i, values in enumerate(errors):
                sums[kind][i] += np.bincount(groups, weights=values, minlength=sums[kind].shape[1])
    overlap = -(-backtest.horizon * backtest.step_s // stride_s)
    return PairReport(_loss_sums(sums, "origin"), _loss_sums(sums, "series"), overlap)


def _window_errors(
    backtest: BacktestSpec, model: ForecastRecord, other: ForecastRecord, *, first: int, end: int
) -> tuple[Doubles, Doubles, Doubles]:
    """Common steps of each window, and the sums of absolute errors of both over them `[w]`."""
    actual = backtest.actual[first:end]
    common = np.isfinite(actual) & model.available[first:end] & other.available[first:end]
    sums = [np.where(common, np.abs(actual - record.point[first:end]), 0.0).sum(axis=1) for record in (model, other)]
    return common.sum(axis=1).astype(np.float64), sums[0], sums[1]


def _loss_sums(sums: Mapping[str, Doubles], kind: str) -> LossSums:
    counts, model, other = sums[kind]
    return LossSums(counts.astype(np.int64), model, other)
