"""Normal equations of a map from a history to a horizon, and their ridge solution.

For each step of the horizon `y = x·w + c·b`: x `[L]` is the same for all steps, so that one Gram matrix serves them all;
c `[K]`, covariates ahead, is another one at each step and is eliminated block by block. Everything is a sum over windows,
so that errors on other windows come from their sums, without looking at them again.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearMap:
    """kernel `[L,H]` of the history, coefficients `[H,K]` of the covariates ahead."""

    kernel: Floats
    coefficients: Floats


@dataclass(frozen=True)
class WindowMoments:
    """Weighted sums over windows.

    history `[L,L]`: x·xᵀ. target `[L,H]`: x·y. crossed `[H,L,K]`: x·cᵀ. covariates `[H,K,K]`: c·cᵀ. ahead `[H,K]`: c·y.
    squares: y² over all steps.
    """

    history: Floats
    target: Floats
    crossed: Floats
    covariates: Floats
    ahead: Floats
    squares: float

    @classmethod
    def of(cls, x: Floats, y: Floats, c: Floats, weights: Floats) -> Self:
        """Sums of windows.

        Args:
            x: `[B,L]`.
            y: `[B,H]`.
            c: `[B,H,K]`.
            weights: `[B]`, not negative.
        """
        root = np.sqrt(weights)
        x, y, c = x * root[:, None], y * root[:, None], (c * root[:, None, None]).transpose(1, 0, 2)
        turned = c.transpose(0, 2, 1)
        ahead = (turned @ y.T[:, :, None])[:, :, 0]
        return cls(x.T @ x, x.T @ y, x.T @ c, turned @ c, ahead, float(np.sum(y * y)))

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.history + other.history,
            self.target + other.target,
            self.crossed + other.crossed,
            self.covariates + other.covariates,
            self.ahead + other.ahead,
            self.squares + other.squares,
        )

    def last(self, n: int) -> Self:
        """The same of the last `n` steps of the history."""
        return type(self)(
            self.history[-n:, -n:], self.target[-n:], self.crossed[:, -n:], self.covariates, self.ahead, self.squares
        )

    def without_windows(self) -> Self:
        """The sums over no window."""
        return type(self)(
            np.zeros_like(self.history),
            np.zeros_like(self.target),
            np.zeros_like(self.crossed),
            np.zeros_like(self.covariates),
            np.zeros_like(self.ahead),
            0.0,
        )

    @property
    def size(self) -> float:
        """Mean square of a step of the history, summed over windows: the unit of penalties; 1 where all of it is 0."""
        return float(np.trace(self.history)) / len(self.history) or 1.0

    def solve(self, prior: Floats, penalty: float) -> LinearMap:
        """The map of least squares that is drawn to a prior.

        Args:
            prior: Kernel `[L,H]` that a penalty draws to; coefficients are drawn to 0.
            penalty: In units of the mean square of a step, or of a covariate.
        """
        left = self.history + penalty * self.size * np.eye(len(self.history))
        target = self.target - self.history @ prior
        n_steps, n_covariates = self.ahead.shape
        if not n_covariates:
            return LinearMap(prior + np.linalg.solve(left, target), np.zeros((n_steps, 0)))
        columns = self.crossed.transpose(1, 0, 2).reshape(len(left), -1)
        solved = np.linalg.solve(left, np.concatenate([target, columns], axis=1))
        alone, shared = solved[:, :n_steps], solved[:, n_steps:].reshape(len(left), n_steps, n_covariates)
        unit = np.trace(self.covariates, axis1=1, axis2=2) / n_covariates
        ridge = penalty * np.where(unit > 0, unit, 1.0)[:, None, None] * np.eye(n_covariates)
        turned = self.crossed.transpose(0, 2, 1)
        inner = self.covariates + ridge - turned @ shared.transpose(1, 0, 2)
        # What the prior says already is no business of the covariates.
        right = self.ahead - (turned @ prior.T[:, :, None])[:, :, 0] - (turned @ alone.T[:, :, None])[:, :, 0]
        coefficients = np.linalg.solve(inner, right[:, :, None])[:, :, 0].astype(np.float64)
        kernel: Floats = prior + alone - np.einsum("lhk,hk->lh", shared, coefficients)
        return LinearMap(kernel, coefficients)

    def correction(self, found: LinearMap, penalty: float) -> Floats:
        """What least squares add to the kernel of a map for these windows alone `[L,H]`, drawn to nothing.

        Args:
            found: The map of all windows.
            penalty: Absolute, not in units of these windows: few of them say little.
        """
        left = self.history + penalty * np.eye(len(self.history))
        told = self.target - self.history @ found.kernel - np.einsum("hlk,hk->lh", self.crossed, found.coefficients)
        added: Floats = np.linalg.solve(left, told)
        return added

    def squared_error(self, found: LinearMap) -> float:
        """Weighted sum of squared errors of a map over these windows and all steps."""
        kernel, b = found.kernel, found.coefficients
        error = self.squares - 2.0 * float(np.sum(kernel * self.target) + np.sum(b * self.ahead))
        error += float(np.sum(kernel * (self.history @ kernel)))
        if b.shape[1]:
            error += 2.0 * float(np.einsum("lh,hlk,hk->", kernel, self.crossed, b, optimize=True))
            error += float(np.einsum("hk,hkj,hj->", b, self.covariates, b, optimize=True))
        return error
