"""Forecasts of "will it exceed the threshold?", from quantile forecasts, and scores of them.

The probability is that of a distribution function drawn straight from quantile to quantile; beyond the outer ones it goes
on with the slope of the last piece, and never leaves [0, 1].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.metrics.block import Doubles, Floats

DECISION_PROBABILITY = 0.5
"""From this probability on a step counts as forecast to exceed."""

_N_BINS = (1 << 20) + 1
"""Probabilities that AUC tells apart; nearer ones count as ties."""


@dataclass(frozen=True)
class ExceedanceReport:
    """Scores of an event, y > threshold, over n_points steps of which n_events exceed it.

    accuracy: share of right decisions. precision: share of forecast events that came. recall: share of events that were
    forecast. f1: harmonic mean of both. auc: probability that an event has the higher forecast probability than a step
    without one (0.5: no skill). brier: mean (p - event)², lower is better. base_rate_brier: that of always forecasting the
    share of events. NaN where a score has nothing to count, such as recall without an event.
    """

    threshold: float
    n_points: int
    n_events: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    brier: float
    base_rate_brier: float


def exceedance_probability(quantiles: Floats, levels: Sequence[float], threshold: float) -> Doubles:
    """P(y > threshold) of quantile forecasts.

    Args:
        quantiles: `[..., Q]`, ascending along Q.
        levels: Q levels, ascending, at least two.
        threshold: Unit of the target.

    Returns:
        `[...]` in [0, 1]; NaN where a quantile is not finite.

    Raises:
        ValueError: There are fewer than two levels.
    """
    if len(levels) < 2:
        raise ValueError(f"a probability needs at least two quantile levels, found {len(levels)}")
    q = np.asarray(levels, dtype=np.float64)
    values = np.asarray(quantiles, dtype=np.float64)
    # The piece between two quantiles that holds the threshold; the first or last one beyond them.
    piece = np.clip((values <= threshold).sum(axis=-1) - 1, 0, len(q) - 2)
    low = np.take_along_axis(values, piece[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(values, piece[..., None] + 1, axis=-1)[..., 0]
    width = high - low
    share = np.divide(threshold - low, width, out=np.zeros_like(low), where=width > 0)
    # Quantiles that coincide are a step of the distribution function: all of it lies at or below the threshold, or none.
    share = np.where((width == 0) & (threshold >= low), 1.0, share)
    below = np.clip(q[piece] + share * (q[piece + 1] - q[piece]), 0.0, 1.0)
    below = np.where((width == 0) & (threshold < low), 0.0, below)
    below = np.where((width == 0) & (threshold > high), 1.0, below)
    return np.where(np.isfinite(values).all(axis=-1), 1.0 - below, np.nan)


class ExceedanceSums:
    """What scores of the event y > threshold are made of, added block by block: its memory does not grow with the steps."""

    def __init__(self, threshold: float) -> None:
        """Begin with nothing."""
        self._threshold = threshold
        self._events = np.zeros(_N_BINS, dtype=np.int64)
        self._others = np.zeros(_N_BINS, dtype=np.int64)
        self._n_right = self._n_said = self._n_hits = 0
        self._squares = 0.0
        self._finite = True

    def add(self, actual: Floats, quantiles: Floats, levels: Sequence[float]) -> None:
        """Add steps.

        Args:
            actual: `[...]`, NaN where not known.
            quantiles: `[..., Q]`, ascending along Q.
            levels: Q levels, ascending.
        """
        known = np.isfinite(actual)
        event = np.asarray(actual)[known] > self._threshold
        probability = exceedance_probability(np.asarray(quantiles)[known], levels, self._threshold)
        finite = np.isfinite(probability)
        self._finite &= bool(finite.all())
        said = probability >= DECISION_PROBABILITY
        self._n_right += int((said == event).sum())
        self._n_said += int(said.sum())
        self._n_hits += int((said & event).sum())
        self._squares += float(((probability - event)[finite] ** 2).sum())
        places = np.rint(np.where(finite, probability, 0.0) * (_N_BINS - 1)).astype(np.int64)
        self._events += np.bincount(places[event], minlength=_N_BINS)
        self._others += np.bincount(places[~event], minlength=_N_BINS)

    def report(self) -> ExceedanceReport:
        """Scores of all that was added; all NaN where a forecast of a known step is not finite."""
        n_events = int(self._events.sum())
        n_points = n_events + int(self._others.sum())
        rate = n_events / n_points if n_points else math.nan
        unknown = 0.0 if self._finite else math.nan
        return ExceedanceReport(
            threshold=self._threshold,
            n_points=n_points,
            n_events=n_events,
            accuracy=_share(self._n_right + unknown, n_points),
            precision=_share(self._n_hits + unknown, self._n_said),
            recall=_share(self._n_hits + unknown, n_events),
            f1=_share(2 * self._n_hits + unknown, self._n_said + n_events),
            auc=area_under_curve(self._events, self._others) + unknown,
            brier=_share(self._squares + unknown, n_points),
            base_rate_brier=rate * (1 - rate),
        )


def exceedance_scores(
    actual: Floats, quantiles: Floats, levels: Sequence[float], *, threshold: float
) -> ExceedanceReport:
    """Scores of the event y > threshold over the steps whose actual is known; see `ExceedanceSums`."""
    sums = ExceedanceSums(threshold)
    sums.add(actual, quantiles, levels)
    return sums.report()


def area_under_curve(events: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counted half.

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve.

    Args:
        events: Steps with the event by what was forecast, the lowest probability first `[bins]`.
        others: Steps without it `[bins]`.

    Returns:
        NaN where all steps are events, or none is.
    """
    n_events, n_others = int(events.sum()), int(others.sum())
    if not n_events or not n_others:
        return math.nan
    below = np.cumsum(others) - others
    return float(events @ (below + others / 2) / n_events / n_others)


def _share(numerator: float, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
