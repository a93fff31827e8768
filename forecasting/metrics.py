"""Accuracy of forecasts: small pure functions over NumPy arrays.

Every function skips steps whose actual is NaN, which means "not known". A forecast that is NaN or
infinite where the actual is known makes the result NaN or infinite, so that it can never pass a
gate. A result over no known actual is NaN. Arrays of actuals and forecasts have the same shape;
quantile forecasts have one more axis, Q, at the end.

Sources: Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006), for MAE, RMSE,
sMAPE and MASE; Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation"
(2007), for the pinball loss and coverage; Park et al. (2022), "Learning quantile functions without
quantile crossing for distribution-free time series forecasting", for WQL as it is used here.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
_NAN = float("nan")


def mae(actual: Floats, forecast: Floats) -> float:
    """Mean absolute error, mean |y - f|. Unit of the target; lower is better, 0 is perfect."""
    return _mean(np.abs(_errors(actual, forecast)))


def rmse(actual: Floats, forecast: Floats) -> float:
    """Root mean squared error, sqrt(mean (y - f)²). Unit of the target; lower is better."""
    return float(np.sqrt(_mean(_errors(actual, forecast) ** 2)))


def bias(actual: Floats, forecast: Floats) -> float:
    """Mean error, mean (f - y). Unit of the target; 0 is best, above 0 the forecasts are too high."""
    return -_mean(_errors(actual, forecast))


def wape(actual: Floats, forecast: Floats) -> float:
    """Weighted absolute percentage error, sum |y - f| / sum |y|. A ratio; lower is better.

    NaN where all known actuals are zero.
    """
    return _ratio(np.abs(_errors(actual, forecast)).sum(), _total(actual))


def smape(actual: Floats, forecast: Floats) -> float:
    """Symmetric absolute percentage error, mean 2 |y - f| / (|y| + |f|). A ratio in [0, 2]; lower is better.

    A step at which actual and forecast are both zero counts as a perfect one.
    """
    known = np.isfinite(actual)
    y, f = np.asarray(actual, dtype=np.float64)[known], np.asarray(forecast, dtype=np.float64)[known]
    size = np.abs(y) + np.abs(f)
    return _mean(np.divide(2 * np.abs(y - f), size, out=np.zeros_like(size), where=size != 0))


def mase_scale(history: Floats, season: int) -> float:
    """Mean |y[t] - y[t - season]| of a series: the unit in which MASE counts.

    Args:
        history: Values of one series on a regular grid `[T]`, NaN where missing.
        season: Length of the season in steps.

    Returns:
        Unit of the target; NaN where no two known values lie a season apart.
    """
    if len(history) <= season:
        return _NAN
    differences = np.abs(np.asarray(history[season:], dtype=np.float64) - history[:-season])
    return _mean(differences[np.isfinite(differences)])


def mase(actual: Floats, forecast: Floats, scale: Floats | float) -> float:
    """Mean absolute scaled error, mean |y - f| / scale. A ratio; lower is better, 1 is the naive in sample.

    Args:
        actual: Known values.
        forecast: Point forecasts.
        scale: `mase_scale` of the train cut of each step's series, of any shape that broadcasts;
            steps whose scale is NaN or zero are left out.
    """
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), np.shape(actual))
    usable = np.isfinite(scales) & (scales > 0)
    errors = np.abs(np.asarray(actual, dtype=np.float64)[usable] - np.asarray(forecast, dtype=np.float64)[usable])
    known = np.isfinite(np.asarray(actual)[usable])
    return _mean(errors[known] / scales[usable][known])


def pinball(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> float:
    """Pinball (quantile) loss, mean over steps and levels of max(q (y - f), (q - 1) (y - f)).

    Unit of the target; lower is better. At the level 0.5 alone it is half the MAE.

    Args:
        actual: Known values `[...]`.
        quantiles: Forecasts `[..., Q]`.
        levels: Q levels between 0 and 1.
    """
    return _mean(_pinball_terms(actual, quantiles, levels))


def wql(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> float:
    """Weighted quantile loss, mean over levels of 2 · sum pinball / sum |y|. A ratio; lower is better.

    At the level 0.5 alone it is the WAPE. NaN where all known actuals are zero.
    """
    return _ratio(2 * _pinball_terms(actual, quantiles, levels).sum() / len(levels), _total(actual))


def coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Share of actuals with lower <= y <= upper. A ratio in [0, 1]; best is the nominal share of the band."""
    known = np.isfinite(actual)
    y, low, high = (np.asarray(values, dtype=np.float64)[known] for values in (actual, lower, upper))
    inside = np.where(np.isfinite(low) & np.isfinite(high), ((low <= y) & (y <= high)).astype(np.float64), _NAN)
    return _mean(inside)


def interval_width(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Mean width of the band, mean (upper - lower), where the actual is known. Unit of the target.

    Lower is better among bands of the same coverage.
    """
    known = np.isfinite(actual)
    return _mean(np.asarray(upper, dtype=np.float64)[known] - np.asarray(lower, dtype=np.float64)[known])


def _errors(actual: Floats, forecast: Floats) -> Floats:
    known = np.isfinite(actual)
    return np.asarray(actual, dtype=np.float64)[known] - np.asarray(forecast, dtype=np.float64)[known]


def _pinball_terms(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    known = np.isfinite(actual)
    errors = np.asarray(actual, dtype=np.float64)[known][:, None] - np.asarray(quantiles, dtype=np.float64)[known]
    q = np.asarray(levels, dtype=np.float64)
    terms: Floats = np.maximum(q * errors, (q - 1) * errors)
    return terms


def _total(actual: Floats) -> float:
    return float(np.abs(np.asarray(actual, dtype=np.float64)[np.isfinite(actual)]).sum())


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else _NAN


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else _NAN
