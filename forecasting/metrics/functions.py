"""Metrics of arrays: each is its definition of `forecasting.metrics.registry`, applied.

Every function skips steps whose actual is NaN, which means "not known". A forecast that is NaN or infinite where the
actual is known makes the result NaN or infinite, so that it can never pass a gate. A result over no known actual is NaN.
Arrays of actuals and forecasts have the same shape; quantile forecasts have one more axis, Q, at the end.
"""

from collections.abc import Sequence

import numpy as np

from forecasting.metrics import registry
from forecasting.metrics.block import Floats, ScoreBlock, score_block

_OUTER = (0.25, 0.75)
"""Stand-in levels of a band that is given by its bounds; coverage and width do not look at them."""


def mae(actual: Floats, forecast: Floats) -> float:
    """Mean absolute error, mean |y - f|. Unit of the target; lower is better, 0 is perfect."""
    return registry.MAE.of(score_block(actual, forecast))


def rmse(actual: Floats, forecast: Floats) -> float:
    """Root mean squared error, sqrt(mean (y - f)²). Unit of the target; lower is better."""
    return registry.RMSE.of(score_block(actual, forecast))


def r2(actual: Floats, forecast: Floats) -> float:
    """Coefficient of determination, 1 - Σ (y - f)² / Σ (y - mean y)². A ratio; higher is better, 1 is perfect.

    NaN where all known actuals are the same.
    """
    known = np.asarray(actual)[np.isfinite(actual)]
    anchor = float(known.mean()) if known.size else 0.0
    return registry.R2.of(score_block(actual, forecast, anchor=anchor))


def bias(actual: Floats, forecast: Floats) -> float:
    """Mean error, mean (f - y). Unit of the target; 0 is best, above 0 the forecasts are too high."""
    return registry.BIAS.of(score_block(actual, forecast))


def wape(actual: Floats, forecast: Floats) -> float:
    """Weighted absolute percentage error, Σ |y - f| / Σ |y|. A ratio; lower is better.

    NaN where all known actuals are zero.
    """
    return registry.WAPE.of(score_block(actual, forecast))


def mape(actual: Floats, forecast: Floats) -> float:
    """Mean absolute percentage error, mean |y - f| / |y| where y is not 0. A ratio; lower is better."""
    return registry.MAPE.of(score_block(actual, forecast))


def smape(actual: Floats, forecast: Floats) -> float:
    """Symmetric absolute percentage error, mean 2 |y - f| / (|y| + |f|). A ratio in [0, 2]; lower is better.

    A step at which actual and forecast are both zero counts as a perfect one.
    """
    return registry.SMAPE.of(score_block(actual, forecast))


def mase_scale(history: Floats, season: int) -> float:
    """Mean |y[t] - y[t - season]| of a series: the unit in which MASE counts.

    Args:
        history: Values of one series on a regular grid `[T]`, NaN where missing.
        season: Length of the season in steps.

    Returns:
        Unit of the target; NaN where no two known values lie a season apart.
    """
    differences = _seasonal_differences(history, season)
    return float(np.abs(differences).mean()) if differences.size else float("nan")


def rmsse_scale(history: Floats, season: int) -> float:
    """Mean (y[t] - y[t - season])² of a series, as `mase_scale`; RMSSE counts in its root."""
    differences = _seasonal_differences(history, season)
    return float((differences**2).mean()) if differences.size else float("nan")


def mase(actual: Floats, forecast: Floats, scale: Floats | float) -> float:
    """Mean absolute scaled error, mean |y - f| / scale. A ratio; lower is better, 1 is the naive in sample.

    Args:
        actual: Known values.
        forecast: Point forecasts.
        scale: `mase_scale` of the train cut of each step's series, of any shape that broadcasts;
            steps whose scale is NaN or zero are left out.
    """
    return registry.MASE.of(score_block(actual, forecast, scale=scale))


def rmsse(actual: Floats, forecast: Floats, squared_scale: Floats | float) -> float:
    """Root mean squared scaled error, sqrt(mean (y - f)² / squared scale). A ratio; lower is better.

    Args:
        actual: Known values.
        forecast: Point forecasts.
        squared_scale: `rmsse_scale`, as the scale of `mase`.
    """
    return registry.RMSSE.of(score_block(actual, forecast, squared_scale=squared_scale))


def trend_agreement(actual: Floats, forecast: Floats) -> float:
    """Share of steps at which the forecast moves as the actual does from the step before, along the last axis.

    A ratio; higher is better, 0.5 is chance. Steps at which the actual does not move, or the one before is not known,
    are left out.
    """
    return registry.TREND_AGREEMENT.of(score_block(actual, forecast))


def pinball(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> float:
    """Pinball (quantile) loss, mean over steps and levels of max(q (y - f), (q - 1) (y - f)).

    Unit of the target; lower is better. At the level 0.5 alone it is half the MAE.

    Args:
        actual: Known values `[...]`.
        quantiles: Forecasts `[..., Q]`.
        levels: Q levels between 0 and 1.
    """
    return registry.PINBALL.of(score_block(actual, actual, quantiles=quantiles, levels=levels))


def wql(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> float:
    """Weighted quantile loss, mean over levels of 2 · Σ pinball / Σ |y|. A ratio; lower is better.

    At the level 0.5 alone it is the WAPE. NaN where all known actuals are zero.
    """
    return registry.WQL.of(score_block(actual, actual, quantiles=quantiles, levels=levels))


def crps(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> float:
    """Continuous ranked probability score of quantiles, 2 ∫ pinball dq. Unit of the target; lower is better.

    Each level stands for the levels nearest to it, so that it tends to the CRPS of the distribution as levels are added.
    """
    return registry.CRPS.of(score_block(actual, actual, quantiles=quantiles, levels=levels))


def coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Share of actuals with lower <= y <= upper. A ratio in [0, 1]; best is the nominal share of the band."""
    return registry.coverage_of(*_OUTER).of(_band(actual, lower, upper, _OUTER))


def interval_width(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Mean width of the band, mean (upper - lower), where the actual is known. Unit of the target.

    Lower is better among bands of the same coverage.
    """
    return registry.interval_width_of(*_OUTER).of(_band(actual, lower, upper, _OUTER))


def winkler(actual: Floats, lower: Floats, upper: Floats, *, nominal: float) -> float:
    """Winkler score, mean (upper - lower) + 2/α · distance of y outside the band. Unit of the target; lower is better.

    Args:
        actual: Known values.
        lower: Lower bounds.
        upper: Upper bounds.
        nominal: Share that the band should hold, 1 - α.
    """
    levels = ((1 - nominal) / 2, (1 + nominal) / 2)
    return registry.winkler_of(*levels).of(_band(actual, lower, upper, levels))


def _band(actual: Floats, lower: Floats, upper: Floats, levels: tuple[float, float]) -> ScoreBlock:
    return score_block(actual, actual, quantiles=np.stack([lower, upper], axis=-1), levels=levels)


def _seasonal_differences(history: Floats, season: int) -> Floats:
    if len(history) <= season:
        return np.empty(0)
    differences: Floats = np.asarray(history[season:], dtype=np.float64) - history[:-season]
    return differences[np.isfinite(differences)]
