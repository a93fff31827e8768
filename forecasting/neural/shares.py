"""Shares of the members of an ensemble: fitted on the validation period, and checked on parts of it that were left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
N_FOLDS = 4
"""Consecutive parts of the validation period, each left out once; each must be at least a horizon long."""
_STEPS = 400
_ENOUGH = 50_000
"""Steps of the validation period that shares are found on, evenly apart where there are more."""
_FLAT = 1e-12


@dataclass(frozen=True)
class SharesReport:
    """The shares of an ensemble `[M]`, not negative, their sum 1, and why they are these.

    choice: `fitted` on the whole validation period, because shares fitted on the other folds had less loss than equal
    ones on the folds left out; `equal`, because they had not; `unchecked`: fitted, and the validation period is too short
    for folds. fitted_loss and equal_loss: mean quantile loss of both over all folds left out, in scaled units.
    """

    shares: tuple[float, ...]
    choice: Literal["fitted", "equal", "unchecked"]
    n_folds: int = 0
    fitted_loss: float | None = None
    equal_loss: float | None = None


def choose_shares(
    target: Floats, members: Sequence[Floats], present: Floats, levels: tuple[float, ...], *,
    origins: npt.NDArray[np.int64], horizon_s: int,
) -> SharesReport:  # fmt: skip
    """Fit shares, unless cross-validation says that equal ones are as good.

    Equal shares are hard to beat where members err alike and the validation period is short (J. Smith and K. Wallis, "A
    Simple Explanation of the Forecast Combination Puzzle", Oxford Bulletin of Economics and Statistics 71, 2009). Windows
    that share steps with a fold left out are not fitted on for it.

    Args:
        target: `[W,H]`.
        members: Quantiles `[W,H,Q]` of each, from a fit that has not seen the validation period.
        present: `[W,H]`, 0 where the target is missing.
        levels: `[Q]` in (0, 1).
        origins: First step of each window, UTC epoch seconds `[W]`.
        horizon_s: Length of the horizon.
    """
    equal = _equal(len(members))
    sums, n_steps, n_folds = np.zeros(2), 0, 0
    for left_out, others in _folds(origins, horizon_s):
        if not present[left_out].any() or not present[others].any():
            continue
        fitted = fit_shares(target[others], [member[others] for member in members], present[others], levels)
        held = target[left_out], [member[left_out] for member in members], present[left_out]
        sums += [_loss_sum(shares, *held, levels) for shares in (fitted, equal)]
        n_steps += int(np.count_nonzero(present[left_out]))
        n_folds += 1
    if n_folds and sums[0] >= sums[1]:
        return SharesReport(tuple(equal.tolist()), "equal", n_folds, *(sums / n_steps).tolist())
    shares = tuple(fit_shares(target, members, present, levels).tolist())
    return (
        SharesReport(shares, "fitted", n_folds, *(sums / n_steps).tolist())
        if n_folds
        else SharesReport(shares, "unchecked")
    )


def _folds(origins: npt.NDArray[np.int64], horizon_s: int) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Windows left out and windows apart from them `[W]`; none where a fold is shorter than the horizon."""
    first, last = int(origins.min()), int(origins.max())
    if last - first < N_FOLDS * horizon_s:
        return []
    found = []
    for low, high in pairwise(np.linspace(first, last + 1, N_FOLDS + 1)):
        left_out = (origins >= low) & (origins < high)
        if not left_out.any():
            continue
        held = origins[left_out]
        found.append((left_out, (origins + horizon_s <= held.min()) | (origins >= held.max() + horizon_s)))
    return found


def _loss_sum(
    shares: npt.NDArray[np.float64], target: Floats, members: Sequence[Floats], present: Floats,
    levels: tuple[float, ...],
) -> float:  # fmt: skip
    """Sum over present steps of the quantile losses' mean over levels."""
    counts, asked = present > 0, np.asarray(levels)
    together = np.tensordot(shares, np.stack([member[counts] for member in members]), axes=1)
    distance = target[counts].astype(np.float64)[:, None] - together
    return float(np.maximum(asked * distance, (asked - 1.0) * distance).mean(axis=1).sum())


def _equal(n_members: int) -> npt.NDArray[np.float64]:
    return np.full(n_members, 1.0 / n_members)


def fit_shares(
    target: Floats,
    members: Sequence[Floats],
    present: Floats,
    levels: tuple[float, ...],
) -> npt.NDArray[np.float64]:
    """Shares with the least quantile loss: not negative, their sum 1 `[M]`.

    The loss is convex in the shares; exponentiated gradient descent stays among them (J. Kivinen and M. Warmuth,
    "Exponentiated Gradient versus Gradient Descent for Linear Predictors", 1997).

    Args:
        target: `[W,H]`.
        members: Quantiles `[W,H,Q]` of each.
        present: `[W,H]`, 0 where the target is missing.
        levels: `[Q]` in (0, 1).

    Returns:
        Equal shares where nothing is present.
    """
    counts = present > 0
    if not counts.any():
        return _equal(len(members))
    every = slice(None, None, 1 + int(np.count_nonzero(counts)) // _ENOUGH)
    quantiles = np.stack([member[counts][every] for member in members]).astype(np.float64)
    actual = target[counts][every].astype(np.float64)[:, None]
    asked = np.asarray(levels)
    shares = best = _equal(len(members))
    least = np.inf
    for step in range(_STEPS):
        distance = actual - np.tensordot(shares, quantiles, axes=1)
        loss = float(np.mean(np.maximum(asked * distance, (asked - 1.0) * distance)))
        if loss < least:
            least, best = loss, shares
        slope = np.where(distance > 0, -asked, 1.0 - asked)
        gradient = np.mean(slope * quantiles, axis=(1, 2))
        gradient = gradient - shares @ gradient
        size = float(np.abs(gradient).max())
        if size < _FLAT:
            break
        # Steps of a size that only shrinks: near the best, the sign of the gradient changes and its size does not.
        grown = shares * np.exp(-gradient / (size * np.sqrt(step + 1.0)))
        shares = grown / grown.sum()
    return best
