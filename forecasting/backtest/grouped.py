"""Metrics of many groups of steps at once: sums by group, block by block, so that memory does not grow with the backtest."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord
from forecasting.metrics.block import Doubles, ScoreBlock, score_block
from forecasting.metrics.definition import MetricSpec, Term

Codes = npt.NDArray[np.int64]

BLOCK_POINTS = 1 << 17
"""Steps looked at at once: few enough that what is computed of them stays in the cache of a core."""


class GroupedSums:
    """Sums of the terms of some metrics over groups of steps; blocks are added one after another."""

    def __init__(self, metrics: Sequence[MetricSpec], n_groups: int) -> None:
        """Begin with nothing.

        Args:
            metrics: What `values` will give.
            n_groups: Groups are numbered from 0.
        """
        self._metrics = tuple(metrics)
        self.terms: tuple[Term, ...] = tuple({term: None for metric in metrics for term in metric.terms})
        self._sums = {term: np.zeros(n_groups) for term in self.terms}
        self.counts = np.zeros(n_groups, dtype=np.int64)

    def add_all(self, terms: Mapping[Term, Doubles], n_points: int) -> None:
        """Add all steps of a block to the first group.

        Args:
            terms: Every term of `self.terms` for each step `[N]`.
            n_points: N.
        """
        self.counts[0] += n_points
        for term, total in self._sums.items():
            total[0] += terms[term].sum()

    def add(self, terms: Mapping[Term, Doubles], groups: Codes) -> None:
        """Add steps.

        Args:
            terms: Every term of `self.terms` for each step `[N]`.
            groups: Group of each step `[N]`; -1: none.
        """
        n_groups = len(self.counts)
        shifted = groups + 1
        self.counts += np.bincount(shifted, minlength=n_groups + 1)[1:]
        for term, total in self._sums.items():
            total += np.bincount(shifted, weights=terms[term], minlength=n_groups + 1)[1:]

    def values(self) -> dict[str, Doubles]:
        """Every metric by name `[G]`; NaN for groups without a step."""
        found = {}
        with np.errstate(invalid="ignore"):
            for metric in self._metrics:
                value = metric.finish(*(self._sums[term] for term in metric.terms))
                found[metric.name] = np.where(self.counts > 0, value, np.nan)
        return found


class BlockTerms(dict[Term, Doubles]):
    """Terms of one block, each computed when it is first asked for."""

    def __init__(self, block: ScoreBlock) -> None:
        """Terms of a block."""
        super().__init__()
        self._block = block

    def __missing__(self, term: Term) -> Doubles:
        found = term(self._block)
        self[term] = found
        return found


def window_ranges(backtest: BacktestSpec, *, block_points: int = BLOCK_POINTS) -> Iterator[tuple[int, int]]:
    """First and end (exclusive) of the windows that are looked at at once, one window at least."""
    n_windows = max(1, block_points // backtest.horizon)
    for first in range(0, backtest.n_windows, n_windows):
        yield first, min(first + n_windows, backtest.n_windows)


def range_block(
    backtest: BacktestSpec,
    record: ForecastRecord,
    *,
    first: int,
    end: int,
    scales: Doubles,
    squared_scales: Doubles,
    anchor: float,
) -> tuple[ScoreBlock, npt.NDArray[np.bool_]]:
    """The steps of some windows that have an actual and a forecast.

    Args:
        backtest: Windows and actuals.
        record: What a model forecast.
        first: First window.
        end: End of the windows, exclusive.
        scales: Of each series `[n series]`.
        squared_scales: Of each series `[n series]`.
        anchor: See `ScoreBlock`.

    Returns:
        The block, and which steps of the windows are in it, bool `[w,H]`.
    """
    rows = backtest.rows[first:end]
    actual = np.where(record.available[first:end], backtest.actual[first:end], np.nan)
    block = score_block(
        actual,
        record.point[first:end],
        expected=record.expected[first:end],
        quantiles=record.quantiles[first:end],
        levels=record.levels,
        scale=scales[rows][:, None],
        squared_scale=squared_scales[rows][:, None],
        anchor=anchor,
    )
    return block, np.isfinite(actual)
