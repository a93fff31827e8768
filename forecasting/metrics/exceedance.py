"""Forecasts of "will it exceed the threshold?", from quantile forecasts, and scores of them.

The probability is that of a distribution function drawn straight from quantile to quantile; beyond the outer ones it goes
on with the slope of the last piece, and never leaves [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.metrics.block import Doubles, Floats

DECISION_PROBABILITY = 0.5
"""From this probability on a step counts as forecast to exceed."""


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


def exceedance_scores(
    actual: Floats, quantiles: Floats, levels: Sequence[float], *, threshold: float
) -> ExceedanceReport:
    """Scores of the event y > threshold over the steps whose actual is known.

    Args:
        actual: `[...]`, NaN where not known.
        quantiles: `[..., Q]`, ascending along Q.
        levels: Q levels, ascending.
        threshold: Unit of the target.

    Returns:
        All NaN where a forecast of a known step is not finite.
    """
    known = np.isfinite(actual)
    event = np.asarray(actual)[known] > threshold
    probability = exceedance_probability(np.asarray(quantiles)[known], levels, threshold)
    finite = bool(np.isfinite(probability).all())
    said = probability >= DECISION_PROBABILITY
    hits = float((said & event).sum()) if finite else float("nan")
    n_points, n_events = int(event.size), int(event.sum())
    rate = n_events / n_points if n_points else float("nan")
    return ExceedanceReport(
        threshold=threshold,
        n_points=n_points,
        n_events=n_events,
        accuracy=_share(float((said == event).sum()) if finite else float("nan"), n_points),
        precision=_share(hits, int(said.sum())),
        recall=_share(hits, n_events),
        f1=_share(2 * hits, int(said.sum()) + n_events),
        auc=area_under_curve(event, probability) if finite else float("nan"),
        brier=_share(float(((probability - event) ** 2).sum()), n_points),
        base_rate_brier=rate * (1 - rate),
    )


def area_under_curve(event: npt.NDArray[np.bool_], probability: Doubles) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counted half.

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve.

    Args:
        event: Whether it came `[N]`.
        probability: What was forecast `[N]`.

    Returns:
        NaN where all steps are events, or none is.
    """
    n_events = int(event.sum())
    n_others = len(event) - n_events
    if not n_events or not n_others:
        return float("nan")
    _, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[event].sum() - n_events * (n_events + 1) / 2) / (n_events * n_others))


def _share(numerator: float, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
