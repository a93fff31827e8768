"""Statistics over windows of earlier steps."""

import math
from dataclasses import dataclass

from typing_extensions import override

from forecasting.features.columns import LARGE, ColumnBlock
from forecasting.features.namespace import Array
from forecasting.features.reductions import decayed_sums
from forecasting.features.terms.base import Term, registered

STATISTICS = ("mean", "std", "min", "max")
HALF_LIVES = 8
"""An exponentially weighted mean reads this many half-lives: what lies before weighs 0.4 % together."""


def window_statistic(block: ColumnBlock, statistic: str, window: int, stride: int = 1) -> Array:
    """A statistic over `window` steps that lie `stride` steps apart and end at the present one; 0 where all miss.

    Raises:
        ValueError: The statistic is none of `STATISTICS`.
    """
    xp = block.xp
    count, mean, squares = block.moments.over(window, stride=stride)
    match statistic:
        case "mean":
            return mean
        case "std":
            return xp.sqrt(squares / xp.maximum(count, xp.cast(1.0, "float32")))
        case "min":
            (least,) = block.minima.over(window, stride=stride)
            return block.or_zero(count < 0.5, least)
        case "max":
            (most,) = block.maxima.over(window, stride=stride)
            return block.or_zero(count < 0.5, most)
        case _:
            raise ValueError(f"no statistic is called {statistic!r}; there are {', '.join(STATISTICS)}")


@registered
@dataclass(frozen=True)
class RollingTerm(Term):
    """Mean, population standard deviation, minimum or maximum of a window that ends `lag` steps ago."""

    window: int
    statistic: str
    lag: int = 0

    kind = "rolling"
    formula = "statistic(x[t - lag - window + 1 … t - lag])"
    unit = "scaled"

    @property
    @override
    def has_level(self) -> bool:  # type: ignore[override]
        return self.statistic != "std"

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_{self.statistic}_{self.window}" + (f"_lag_{self.lag}" if self.lag else "")

    @property
    @override
    def reach(self) -> int:
        return self.lag + self.window - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        return window_statistic(block.lagged(self.lag), self.statistic, self.window)


@registered
@dataclass(frozen=True)
class SeasonalTerm(Term):
    """A statistic of the same step of the last seasons, the present one left out."""

    season: int
    count: int
    statistic: str

    kind = "seasonal"
    formula = "statistic(x[t - season], x[t - 2 season], …, x[t - count season])"
    unit = "scaled"

    @property
    @override
    def has_level(self) -> bool:  # type: ignore[override]
        return self.statistic != "std"

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_seasonal_{self.statistic}_{self.season}x{self.count}"

    @property
    @override
    def reach(self) -> int:
        return self.season * self.count

    @override
    def compute(self, block: ColumnBlock) -> Array:
        return window_statistic(block.lagged(self.season), self.statistic, self.count, self.season)


@registered
@dataclass(frozen=True)
class QuantileTerm(Term):
    """A quantile of a window, between order statistics linearly (Hyndman and Fan 1996, type 7).

    Costs as much as the window is long: every window is sorted.
    """

    window: int
    level: float

    kind = "quantile"
    formula = "quantile(x[t - window + 1 … t], level)"
    unit = "scaled"
    has_level = True

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_q{self.level:g}_{self.window}"

    @property
    @override
    def reach(self) -> int:
        return self.window - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        xp = block.xp
        ordered = xp.sort_last(
            xp.lags(xp.where(block.missing, xp.cast(LARGE, "float32"), block.scaled), self.window, LARGE)
        )
        count, _, _ = block.moments.over(self.window)
        last = xp.maximum(count - 1.0, xp.cast(0.0, "float32"))
        place = last * float(self.level)
        low = xp.cast(place, "int64")
        share = place - xp.cast(low, "float32")
        high = xp.minimum(low + 1, xp.cast(last, "int64"))
        below, above = xp.take_last(ordered, low), xp.take_last(ordered, high)
        return block.or_zero(count < 0.5, below + (above - below) * share)


@registered
@dataclass(frozen=True)
class ExponentialMeanTerm(Term):
    """Exponentially weighted mean: a value `half_life` steps back weighs half."""

    half_life: int

    kind = "exponential_mean"
    formula = "Σ w[i] x[t - i] / Σ w[i], w[i] = 2^(-i / half_life), i < 8 half_life"
    unit = "scaled"
    has_level = True

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_exponential_mean_{self.half_life}"

    @property
    @override
    def reach(self) -> int:
        return HALF_LIVES * self.half_life - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        sums = decayed_sums(block.filled, block.present, math.pow(2.0, -1.0 / self.half_life), block.xp)
        total, weight = sums.over(HALF_LIVES * self.half_life)
        safe = block.xp.maximum(weight, block.xp.cast(1e-3, "float32"))
        return block.or_zero(weight < 1e-3, total / safe)
