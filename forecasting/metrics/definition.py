"""What a metric is: sums over steps, and what is made of them.

Every metric is written as sums of terms over the steps, so that one definition serves a handful of numbers, every series
of a backtest, and a table that is read in pieces.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from forecasting.metrics.block import Doubles, ScoreBlock

Term = Callable[[ScoreBlock], Doubles]
"""A number for every step `[N]`. Terms are compared to find those that metrics share, so they are functions or frozen."""


class MetricUnit(StrEnum):
    """What a value is counted in."""

    TARGET = "unit of the target"
    RATIO = "ratio"


class MetricDirection(StrEnum):
    """Which values are good."""

    LOWER = "lower is better, 0 is perfect"
    HIGHER = "higher is better, 1 is perfect"
    ZERO = "0 is best; above it forecasts are too high"
    NOMINAL = "best is the nominal share"
    NARROW = "lower is better at equal coverage"


@dataclass(frozen=True)
class MetricSpec:
    """One metric.

    name: as in metrics.json. formula: y is the actual, f the forecast, q a level, over the known steps. terms: what is
    summed over the steps. finish: makes the value of the sums, arrays `[G]` of as many groups as are asked for.
    """

    name: str
    title: str
    formula: str
    unit: MetricUnit
    direction: MetricDirection
    source: str
    terms: tuple[Term, ...]
    finish: Callable[..., Doubles]
    note: str = ""

    def of(self, block: ScoreBlock) -> float:
        """Value over all steps of a block; NaN where there are none."""
        if not block.n_points:
            return float("nan")
        return float(self.finish(*(np.array([term(block).sum()]) for term in self.terms))[0])


def ratio(numerator: Doubles, denominator: Doubles) -> Doubles:
    """Quotient of sums; NaN where the lower one is not above 0."""
    found: Doubles = np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)
    return found


def root_ratio(numerator: Doubles, denominator: Doubles) -> Doubles:
    """Square root of `ratio`."""
    return np.sqrt(ratio(numerator, denominator))
