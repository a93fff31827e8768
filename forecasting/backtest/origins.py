"""Which forecasts a backtest asks for: origins of the test period, and the windows of every series."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.errors import DataError
from forecasting.schema import Series, SeriesStore, SplitSpec


@dataclass(frozen=True)
class BacktestSpec:
    """Every window of a backtest, ordered by series, then by origin (W windows, H horizon).

    series: the series of the store. rows: which series each window is of, int `[W]`. folds: the fold of
    its origin, int `[W]`: that of `forecasting.backtest.folds`, else each origin is one, from 0. origins: its first
    forecast step, UTC epoch seconds, int `[W]`. actual: target over the horizon, float64 `[W,H]`, NaN where missing.
    """

    series: tuple[Series, ...]
    rows: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    actual: npt.NDArray[np.float64]
    step_s: int

    @property
    def n_windows(self) -> int:
        """W."""
        return len(self.origins)

    @property
    def horizon(self) -> int:
        """H."""
        return int(self.actual.shape[1])

    @property
    def n_points(self) -> int:
        """Forecast steps whose actual is known."""
        return int(np.isfinite(self.actual).sum())


def backtest_origins(split: SplitSpec, step_s: int, *, horizon: int, stride: int) -> npt.NDArray[np.int64]:
    """Origins of the test period: every `stride` steps from its start, as long as the horizon ends inside it.

    Args:
        split: Cuts; forecasts lie in `[test_start, cutoff)`.
        step_s: Step of the series in seconds.
        horizon: H, steps.
        stride: Steps between origins.

    Returns:
        UTC epoch seconds, ascending.

    Raises:
        DataError: Not one horizon fits into the test period.
    """
    last = split.cutoff - horizon * step_s
    if last < split.test_start:
        n_steps = (split.cutoff - split.test_start) // step_s
        raise DataError(
            f"the test period must hold at least one horizon of {horizon} steps, it has {n_steps}; lengthen split.test"
        )
    return np.arange(split.test_start, last + 1, stride * step_s, dtype=np.int64)


def plan_backtest(
    store: SeriesStore, origins: npt.NDArray[np.int64], *, horizon: int, folds: npt.NDArray[np.int64] | None = None
) -> BacktestSpec:
    """Windows of every series at every origin.

    A window is left out where the series has not begun before the origin (nobody could have asked)
    and where no actual of its horizon is known (nothing could be judged).

    Args:
        store: The series.
        origins: UTC epoch seconds, ascending `[O]`.
        horizon: H, steps.
        folds: Fold of each origin `[O]`; none: each is one, from 0.

    Raises:
        DataError: No window is left.
    """
    step_s, cutoff = store.spec.step_s, store.spec.split.cutoff
    parts = [_series_windows(series, origins, horizon=horizon, step_s=step_s, cutoff=cutoff) for series in store]
    rows = np.repeat(np.arange(len(parts)), [len(places) for places, _ in parts])
    if not len(rows):
        raise DataError(
            f"the test period must hold actuals of {store.spec.target!r}, none of the {len(parts)} series has any there; "
            "check split.test and the cutoff"
        )
    places = np.concatenate([places for places, _ in parts])
    numbers = places if folds is None else folds[places]
    return BacktestSpec(
        store.series, rows, numbers, origins[places], np.concatenate([actual for _, actual in parts]), step_s
    )


def _series_windows(
    series: Series, origins: npt.NDArray[np.int64], *, horizon: int, step_s: int, cutoff: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    first = (origins - series.start) // step_s
    steps = first[:, None] + np.arange(horizon)
    inside = (steps >= 0) & (steps < series.n_steps) & (series.start + steps * step_s < cutoff)
    actual = np.where(inside, series.values[np.clip(steps, 0, series.n_steps - 1), 0], np.nan)
    begun = first > _first_known(series)
    places = np.flatnonzero(begun & np.isfinite(actual).any(axis=1))
    return places, actual[places]


def _first_known(series: Series) -> int:
    known = np.isfinite(series.values[:, 0])
    return int(known.argmax()) if known.any() else series.n_steps


def history_steps(backtest: BacktestSpec) -> npt.NDArray[np.int64]:
    """Steps between the first known value of its series and the origin of each window `[W]`."""
    starts = np.array(
        [series.start + _first_known(series) * backtest.step_s for series in backtest.series], dtype=np.int64
    )
    return (backtest.origins - starts[backtest.rows]) // backtest.step_s


def select_windows(backtest: BacktestSpec, chosen: npt.NDArray[np.bool_]) -> BacktestSpec:
    """The part of a backtest that some windows make, in their order.

    Args:
        backtest: All windows.
        chosen: Which of them, bool `[W]`.
    """
    return replace(
        backtest,
        rows=backtest.rows[chosen],
        folds=backtest.folds[chosen],
        origins=backtest.origins[chosen],
        actual=backtest.actual[chosen],
    )
