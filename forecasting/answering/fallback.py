"""The fallback: a seasonal naive forecast where the model cannot be asked, and never without saying so."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from forecasting.answering.given import FLOAT32_MAX
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import bounded, within_bounds
from forecasting.naive import naive_quantiles
from forecasting.schema import Series

PAST_SEASONS = 52
"""Longest seasons of a series' past that are read: with a season of a week, a year."""


class FallbackCause(StrEnum):
    """Why the model was not asked; a label of the counter."""

    QUARANTINE = "quarantine"
    MODEL_SERVER = "model_server"
    MODEL_ANSWER = "model_answer"
    COLD = "cold"


def steps_read(spec: FeatureSpec) -> int:
    """Most steps up to the last known target that the fallback reads."""
    return PAST_SEASONS * max(spec.seasons)


def fallback_answer(series: Series, spec: FeatureSpec, origin: int) -> npt.NDArray[np.float32] | None:
    """Seasonal naive forecast of a series from its own past before an origin.

    The season is the longest of the model's that has a value for every step, and, for the quantiles, as many
    seasonal differences as there are levels; see `naive_quantiles` for both. The forecast begins
    after the last known target, so that a gap before the origin widens the band.

    Args:
        series: With its own past; covariates are not read.
        spec: Seasons, horizon, quantile levels and bounds of the model.
        origin: First step, UTC epoch seconds, on the grid of the series.

    Returns:
        Quantiles in the target's unit, ascending, then the point as the mean where the model has one `[H,A]`;
        none where there is no target before the origin.
    """
    end = (origin - series.start) // spec.step_s
    known = np.flatnonzero(np.isfinite(series.values[: max(0, end), 0]))
    if not len(known):
        return None
    n_past = int(known[-1]) + 1
    past = series.values[max(0, n_past - steps_read(spec)) : n_past, 0]
    n_gap = end - n_past
    season = choose_season(past, spec.seasons, steps=n_gap + np.arange(spec.horizon), n_errors=len(spec.quantiles))
    # Beyond as many seasons as the past has, all that changes is the phase: a gap of decades costs no more.
    n_gap = min(n_gap, (len(past) // season + 1) * season + n_gap % season)
    ahead = naive_quantiles(past[None], spec.quantiles, season=season, horizon=n_gap + spec.horizon)
    # The band around a value that float32 just holds may lie beyond what it holds.
    quantiles = np.clip(ahead[0, -spec.horizon :], -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)
    found: npt.NDArray[np.float32] = bounded(quantiles, spec, NUMPY)
    if not spec.mean:
        return found
    point = quantiles[:, [spec.quantiles.index(POINT_QUANTILE)]]
    return np.concatenate([found, within_bounds(point, spec, NUMPY)], axis=1)


def choose_season(
    past: npt.NDArray[np.float64], seasons: Sequence[int], *, steps: npt.NDArray[np.int64], n_errors: int
) -> int:
    """The longest season that has a value for every step and enough seasonal differences.

    Where none has both, the longest that has the values; where none has them, the shortest.

    Args:
        past: Target up to the last one known `[T]`, NaN where missing.
        seasons: To choose from, in steps.
        steps: What is forecast, counted from the end of `past`.
        n_errors: Differences that are enough.
    """
    longest_first = sorted(seasons, reverse=True)
    repeating = [season for season in longest_first if _has_values(past, season, steps)]
    measured = [season for season in repeating if np.isfinite(past[season:] - past[:-season]).sum() >= n_errors]
    return (*measured, *repeating, longest_first[-1])[0]


def _has_values(past: npt.NDArray[np.float64], season: int, steps: npt.NDArray[np.int64]) -> bool:
    padded = np.concatenate([np.full(-len(past) % season, np.nan), past]).reshape(-1, season)
    return bool(np.isfinite(padded).any(axis=0)[steps % season].all())
