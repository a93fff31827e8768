"""What metrics sum over the steps: each function gives a number for every step of a block `[N]`.

A forecast that is NaN or infinite makes its term NaN or infinite, so that no metric of it can pass a gate.
"""

from dataclasses import dataclass

import numpy as np

from forecasting.metrics.block import Doubles, ScoreBlock


def one(block: ScoreBlock) -> Doubles:
    """1: counts the steps."""
    return np.ones(block.n_points)


def absolute_error(block: ScoreBlock) -> Doubles:
    """|y - f|."""
    return block.absolute_error


def negative_error(block: ScoreBlock) -> Doubles:
    """F - y, f the mean forecast."""
    return -block.expected_error


def squared_error(block: ScoreBlock) -> Doubles:
    """(y - f)², f the mean forecast."""
    return block.expected_error * block.expected_error


def size(block: ScoreBlock) -> Doubles:
    """|y|."""
    return np.abs(block.actual)


def deviation(block: ScoreBlock) -> Doubles:
    """Y less the anchor."""
    return block.actual - block.anchor


def squared_deviation(block: ScoreBlock) -> Doubles:
    """(y less the anchor)²."""
    deviations: Doubles = block.actual - block.anchor
    return deviations * deviations


def nonzero(block: ScoreBlock) -> Doubles:
    """1 where y is not 0."""
    found: Doubles = (block.actual != 0).astype(np.float64)
    return found


def percentage_error(block: ScoreBlock) -> Doubles:
    """|y - f| / |y|, 0 where y is 0."""
    magnitude = np.abs(block.actual)
    found: Doubles = np.divide(block.absolute_error, magnitude, out=np.zeros(block.n_points), where=magnitude > 0)
    return found


def symmetric_error(block: ScoreBlock) -> Doubles:
    """2 |y - f| / (|y| + |f|), 0 where both are 0."""
    magnitude = np.abs(block.actual) + np.abs(block.point)
    found: Doubles = np.divide(2 * block.absolute_error, magnitude, out=np.zeros(block.n_points), where=magnitude != 0)
    return found


def scalable(block: ScoreBlock) -> Doubles:
    """1 where the series has a scale above 0."""
    return (block.scale > 0).astype(np.float64)


def scaled_error(block: ScoreBlock) -> Doubles:
    """|y - f| / scale of the series, 0 where it has none."""
    found: Doubles = np.divide(block.absolute_error, block.scale, out=np.zeros(block.n_points), where=block.scale > 0)
    return found


def square_scalable(block: ScoreBlock) -> Doubles:
    """1 where the series has a squared scale above 0."""
    return (block.squared_scale > 0).astype(np.float64)


def scaled_squared_error(block: ScoreBlock) -> Doubles:
    """(y - f)² / squared scale of the series, 0 where it has none."""
    squared = block.expected_error**2
    found: Doubles = np.divide(
        squared, block.squared_scale, out=np.zeros(block.n_points), where=block.squared_scale > 0
    )
    return found


def mean_pinball(block: ScoreBlock) -> Doubles:
    """Mean over the levels of the pinball loss."""
    found: Doubles = block.pinball.mean(axis=1)
    return found


def crps(block: ScoreBlock) -> Doubles:
    """2 ∫ pinball loss dq, every level standing for the levels nearest to it."""
    found: Doubles = 2.0 * block.pinball @ level_weights(block.levels)
    return found


def level_weights(levels: tuple[float, ...]) -> Doubles:
    """Share of [0, 1] that lies nearest to each level `[Q]`; the sum is 1."""
    inner = (np.asarray(levels[1:]) + np.asarray(levels[:-1])) / 2
    return np.diff(np.concatenate([[0.0], inner, [1.0]]))


def changing(block: ScoreBlock) -> Doubles:
    """1 where the actual of the step before is known and another."""
    found: Doubles = (np.isfinite(block.actual_change) & (block.actual_change != 0)).astype(np.float64)
    return found


def right_sign(block: ScoreBlock) -> Doubles:
    """1 where actual and forecast move the same way from the step before, 0 elsewhere."""
    agrees = np.sign(block.actual_change) == np.sign(block.forecast_change)
    found = np.where(np.isfinite(block.forecast_change), agrees, block.forecast_change)
    return np.where(changing(block) > 0, found, 0.0)


@dataclass(frozen=True)
class Inside:
    """1 where the actual lies between two quantiles, bounds included."""

    lower: float
    upper: float

    def __call__(self, block: ScoreBlock) -> Doubles:
        """Number for every step `[N]`."""
        low, high = _bounds(block, self.lower, self.upper)
        inside = (low <= block.actual) & (block.actual <= high)
        return np.where(np.isfinite(low) & np.isfinite(high), inside, np.nan)


@dataclass(frozen=True)
class Width:
    """Distance between two quantiles."""

    lower: float
    upper: float

    def __call__(self, block: ScoreBlock) -> Doubles:
        """Number for every step `[N]`."""
        low, high = _bounds(block, self.lower, self.upper)
        return high - low


@dataclass(frozen=True)
class WinklerTerm:
    """Width of an interval, and 2 / α for every unit by which the actual lies outside of it."""

    lower: float
    upper: float

    def __call__(self, block: ScoreBlock) -> Doubles:
        """Number for every step `[N]`."""
        low, high = _bounds(block, self.lower, self.upper)
        outside = np.maximum(low - block.actual, 0) + np.maximum(block.actual - high, 0)
        return high - low + 2 / (1 - (self.upper - self.lower)) * outside


@dataclass(frozen=True)
class NotAbove:
    """1 where the actual is at most a quantile."""

    level: float

    def __call__(self, block: ScoreBlock) -> Doubles:
        """Number for every step `[N]`."""
        bound = block.quantiles[:, block.position(self.level)]
        return np.where(np.isfinite(bound), block.actual <= bound, np.nan)


@dataclass(frozen=True)
class PinballAt:
    """Pinball loss of one level."""

    level: float

    def __call__(self, block: ScoreBlock) -> Doubles:
        """Number for every step `[N]`."""
        return block.pinball[:, block.position(self.level)]


def _bounds(block: ScoreBlock, lower: float, upper: float) -> tuple[Doubles, Doubles]:
    return block.quantiles[:, block.position(lower)], block.quantiles[:, block.position(upper)]
