"""Single earlier values, and the present one against them."""

from dataclasses import dataclass

from typing_extensions import override

from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import Array
from forecasting.features.terms.base import Term, registered


@registered
@dataclass(frozen=True)
class LagTerm(Term):
    """The value some steps ago."""

    steps: int

    kind = "lag"
    formula = "x[t - steps]"
    unit = "scaled"
    has_level = True

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_lag_{self.steps}"

    @property
    @override
    def reach(self) -> int:
        return self.steps

    @override
    def compute(self, block: ColumnBlock) -> Array:
        return block.lagged(self.steps).filled


@registered
@dataclass(frozen=True)
class DifferenceTerm(Term):
    """Change since some steps ago."""

    steps: int

    kind = "difference"
    formula = "x[t] - x[t - steps]"
    unit = "scaled"

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_difference_{self.steps}"

    @property
    @override
    def reach(self) -> int:
        return self.steps

    @override
    def compute(self, block: ColumnBlock) -> Array:
        earlier = block.lagged(self.steps)
        # Before scaling: there the difference of two near values is exact.
        change = (block.transformed - earlier.transformed) / block.xp.cast(block.scale, "float32")
        return block.or_zero(block.xp.is_nan(change), change)


@registered
@dataclass(frozen=True)
class RatioTerm(Term):
    """Distance from the rolling level, as a share of it."""

    window: int

    kind = "ratio"
    formula = "(x[t] - m) / max(|m + location / scale|, 1), m = mean(x[t - window + 1 … t])"
    unit = "1"
    relative = False

    @property
    @override
    def name(self) -> str:
        return f"{self.column}_ratio_{self.window}"

    @property
    @override
    def reach(self) -> int:
        return self.window - 1

    @override
    def compute(self, block: ColumnBlock) -> Array:
        xp = block.xp
        _, mean, _ = block.moments.over(self.window)
        level = mean + xp.cast(block.location / block.scale, "float32")
        size = xp.maximum(xp.maximum(level, -level), xp.cast(1.0, "float32"))
        return block.or_zero(block.missing, (block.filled - mean) / size)
