"""Presence, events and thresholds."""

from dataclasses import dataclass

from typing_extensions import override

from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import Array
from forecasting.features.reductions import distances
from forecasting.features.terms.base import Term, registered


@registered
@dataclass(frozen=True)
class PresentTerm(Term):
    """Whether there is a value."""

    kind = "present"
    formula = "1 if x[t] is there, else 0"
    unit = "1"
    relative = False

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_present"

    @property
    @override
    def reach(self) -> int:
        return 0

    @override
    def compute(self, block: ColumnBlock) -> Array:
        return block.present


@registered
@dataclass(frozen=True)
class SinceEventTerm(Term):
    """Steps since the column was last other than zero, as a share of `limit`; 1 where that is longer ago."""

    limit: int

    kind = "since_event"
    formula = "min(steps since the last t with a value ≠ 0, limit) / limit"
    unit = "1"
    relative = False

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_since_event_{self.limit}"

    @property
    @override
    def reach(self) -> int:
        return self.limit - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        xp = block.xp
        zero, far = xp.cast(0.0, "float32"), xp.cast(float(2 * self.limit), "float32")
        # Of the values themselves: scaling would blur the zero.
        none = xp.where(block.missing, zero, block.raw) == zero
        (steps,) = distances(xp.where(none, far, zero * block.present), xp, far=float(2 * self.limit)).over(self.limit)
        return xp.minimum(steps, xp.cast(float(self.limit), "float32")) / float(self.limit)


@registered
@dataclass(frozen=True)
class DegreeDaysTerm(Term):
    """Mean distance below (heating) or above (cooling) a base over a window, as of temperatures."""

    base: float
    direction: str
    window: int

    kind = "degree_days"
    formula = "mean(max(0, base - v)) or mean(max(0, v - base)) over v[t - window + 1 … t], v in the column's unit"
    unit = "scaled"

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_{self.direction}_{self.base:g}_{self.window}"

    @property
    @override
    def reach(self) -> int:
        return self.window - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        xp = block.xp
        base = xp.cast(self.base, "float32")
        distance = base - block.raw if self.direction == "heating" else block.raw - base
        # A maximum with NaN is one thing in NumPy and another in TensorFlow.
        above = xp.maximum(block.or_zero(block.missing, distance), xp.cast(0.0, "float32"))
        _, mean, _ = block.of_lengths(above).moments.over(self.window)
        return mean
