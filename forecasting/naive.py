"""Seasonal naive forecasts of arrays: what every model must beat, and what stands in where none can be asked."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def naive_quantiles(history: Floats, levels: tuple[float, ...], *, season: int, horizon: int) -> Floats:
    """Seasonal naive forecast with a band from seasonal differences.

    Point: step h repeats the value one whole number of seasons before it, in the last season known at
    the origin. Where that value is missing, the latest earlier value of the same phase stands in;
    where the window has none, the mean of its known values; where it has none at all, 0. New series
    need the last two.

    Quantiles: the point plus quantiles of y[t] - y[t - k · season] over the window, where k is the
    number of seasons between step h and the value it repeats. With too short a window for k, those of
    the largest k that has any; with none, the point. The median is the point itself, and the
    differences are centred on it, so that a trend in the window moves no quantile across it.
    Method: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., 5.2 and 5.5.

    Args:
        history: Target up to the origin `[B,L]`, NaN where missing.
        levels: Quantile levels, ascending.
        season: Steps in a season.
        horizon: H.

    Returns:
        `[B,H,Q]`, ascending along Q, never NaN.
    """
    point = naive_point(history, season=season, horizon=horizon)
    return point[:, :, None] + _seasonal_offsets(history, levels, season=season, horizon=horizon)


def naive_point(history: Floats, *, season: int, horizon: int) -> Floats:
    """Seasonal naive point forecast.

    Args:
        history: Target up to the origin `[B,L]`, NaN where missing.
        season: Steps in a season.
        horizon: H.

    Returns:
        `[B,H]`, never NaN; see `naive_quantiles` for missing values.
    """
    batch, length = history.shape
    padding = -length % season
    padded = np.concatenate([np.full((batch, padding), np.nan), history], axis=1)
    seasons = padded.reshape(batch, -1, season)
    latest = seasons[:, -1]
    for earlier in range(seasons.shape[1] - 2, -1, -1):
        latest = np.where(np.isnan(latest), seasons[:, earlier], latest)
    known = np.isfinite(history)
    mean = np.where(known, history, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    latest = np.where(np.isnan(latest), mean[:, None], latest)
    return latest[:, np.arange(horizon) % season]


def _seasonal_offsets(history: Floats, levels: tuple[float, ...], *, season: int, horizon: int) -> Floats:
    """Quantiles of the seasonal differences `[B,H,Q]`, 0 at the level 0.5."""
    batch, length = history.shape
    n_back = np.arange(horizon) // season + 1
    offsets = np.zeros((batch, horizon, len(levels)))
    found = np.zeros((batch, len(levels)))
    for k in range(1, int(n_back.max()) + 1):
        lag = k * season
        if lag < length:
            differences = history[:, lag:] - history[:, :-lag]
            quantiles = quantiles_of_known(differences, (*levels, 0.5))
            centred = quantiles[:, :-1] - quantiles[:, -1:]
            found = np.where(np.isfinite(centred), centred, found)
        offsets[:, n_back == k] = found[:, None]
    return offsets


def quantiles_of_known(values: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles along the last axis of `[B,N]`, NaN left out, linear between order statistics.

    As `numpy.nanquantile`, which walks over rows one by one in Python when there are NaNs.

    Returns:
        `[B,Q]`, NaN for rows without a known value.
    """
    ordered = np.sort(values, axis=1)
    last = np.isfinite(values).sum(axis=1) - 1
    position = np.maximum(last, 0)[:, None] * np.asarray(levels)
    low = np.floor(position).astype(np.int64)
    high = np.ceil(position).astype(np.int64)
    below, above = np.take_along_axis(ordered, low, axis=1), np.take_along_axis(ordered, high, axis=1)
    return np.where(last[:, None] >= 0, below + (above - below) * (position - low), np.nan)
