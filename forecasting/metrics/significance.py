"""Is one forecast better than another, or was it luck? Tests on the difference of their losses, origin by origin.

Losses of neighbouring origins are alike (the weather stays, a level is missed for days), so that a plain t test finds
differences where there are none: of equal pairs it promotes 9 % where 5 % are allowed. Two tests that know of it are made
and the larger p-value counts:

- Diebold and Mariano (1995), Comparing predictive accuracy, with a Bartlett-weighted variance and the small-sample
  correction of Harvey, Leybourne and Newbold (1997), Testing the equality of prediction mean squared errors;
- the same difference by fixed-smoothing asymptotics, Coroneo and Iacone (2020), Comparing predictive accuracy in small
  samples, with the cosine weights of Lazarus, Lewis, Stock and Watson (2018), HAR inference: recommendations for practice.

Where the horizons of neighbouring origins overlap, the differences are averaged over each run of origins that share steps
before both tests: lags enough to span the overlap leave too many false promotions (11 to 18 % of equal pairs at stride 1, horizon 24).

docs/gates.md has how often both are wrong on simulated pairs. A block bootstrap over the origins was tried and promoted
8 % of equal pairs, so it is not used.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.metrics.student import student_t_cdf

Doubles = npt.NDArray[np.float64]

MIN_ORIGINS = 8
"""Fewer origins, or runs of origins whose horizons overlap, say nothing."""


@dataclass(frozen=True)
class SignificanceReport:
    """One-sided test of "no better than the other".

    n_origins: origins compared. improvement: mean loss of the other less that of the model, above 0 where the model is
    better. diebold_mariano, fixed_smoothing: p-value of each test. p_value: the larger one; NaN below `MIN_ORIGINS`.
    """

    n_origins: int
    improvement: float
    diebold_mariano: float
    fixed_smoothing: float
    p_value: float


def better_than(losses: Doubles, other: Doubles, *, overlap: int = 1) -> SignificanceReport:
    """Test whether a model has smaller losses than another one.

    Args:
        losses: Mean loss of the model at each origin, in order of time `[O]`.
        other: The same of the other one `[O]`; origins at which either is NaN are left out.
        overlap: Origins whose horizons overlap: the horizon over the stride, rounded up. The tests see the mean of each
            `overlap` origins, without the oldest ones that fill no such run.

    Returns:
        p-values small where the model is better.
    """
    differences = np.asarray(losses, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    kept = differences[np.isfinite(differences)]
    improvement = -float(kept.mean()) if len(kept) else math.nan
    blocks = _block_means(differences, overlap)
    if len(blocks) < MIN_ORIGINS:
        return SignificanceReport(len(kept), improvement, math.nan, math.nan, math.nan)
    if np.ptp(blocks) <= 1e-12 * np.abs(blocks).max():
        certain = 0.0 if improvement > 0 else 1.0
        return SignificanceReport(len(kept), improvement, certain, certain, certain)
    first, second = _diebold_mariano(blocks), _fixed_smoothing(blocks)
    return SignificanceReport(len(kept), improvement, first, second, max(first, second))


def _block_means(differences: Doubles, size: int) -> Doubles:
    """Mean of each `size` origins `[B]`, without origins that are NaN and blocks that have no other."""
    whole = differences[len(differences) % size :].reshape(-1, size)
    n_known = np.isfinite(whole).sum(axis=1)
    known = n_known > 0
    means: Doubles = np.where(np.isfinite(whole), whole, 0.0).sum(axis=1)[known] / n_known[known]
    return means


def _diebold_mariano(differences: Doubles) -> float:
    n = len(differences)
    n_lags = min(n // 2, math.ceil(n ** (1 / 3)))
    centred = differences - differences.mean()
    variance = float(centred @ centred) / n
    for lag in range(1, n_lags + 1):
        variance += 2 * (1 - lag / (n_lags + 1)) * float(centred[lag:] @ centred[:-lag]) / n
    horizon = n_lags + 1
    correction = math.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    return student_t_cdf(correction * float(differences.mean()) / math.sqrt(variance / n), n - 1)


def _fixed_smoothing(differences: Doubles) -> float:
    n = len(differences)
    n_weights = max(4, int(0.41 * n ** (2 / 3)))
    times = (np.arange(n) + 0.5) / n
    weights = np.sqrt(2.0 / n) * np.cos(np.pi * np.arange(1, n_weights + 1)[:, None] * times)
    projections = weights @ differences
    variance = float((projections**2).mean())
    return student_t_cdf(float(differences.mean()) / math.sqrt(variance / n), n_weights)
