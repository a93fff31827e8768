"""Settings of features derived from one column, and the terms that each of them asks for."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from forecasting.config.section import Section
from forecasting.config.values import Distinct, Lengths
from forecasting.features.terms import (
    DegreeDaysTerm,
    DifferenceTerm,
    ExponentialMeanTerm,
    LagTerm,
    PresentTerm,
    QuantileTerm,
    RatioTerm,
    RollingTerm,
    SeasonalTerm,
    SinceEventTerm,
    Term,
)

Statistic = Literal["mean", "std", "min", "max"]
Statistics = Annotated[tuple[Statistic, ...], Distinct]
Levels = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Distinct]

_ALL: tuple[Statistic, ...] = ("mean", "std", "min", "max")


class DerivedConfig(Section):
    """What every kind has."""

    column: str = Field("target", description="Target, observed or known column.")

    @abstractmethod
    def terms(self, column: str) -> Iterator[Term]:
        """The features, of the column by its name in the table."""


class LagConfig(DerivedConfig):
    """Values some steps ago."""

    kind: Literal["lag"] = Field("lag", description="Kind of feature.")
    steps: Lengths = Field((1, 24, 168), description="How many steps ago; the default suits hours.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (LagTerm(column, steps) for steps in self.steps)


class DifferenceConfig(DerivedConfig):
    """Changes since some steps ago."""

    kind: Literal["difference"] = Field("difference", description="Kind of feature.")
    steps: Lengths = Field((24,), description="Since how many steps ago; the default suits hours.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (DifferenceTerm(column, steps) for steps in self.steps)


class RatioConfig(DerivedConfig):
    """Distance from the rolling mean as a share of it."""

    kind: Literal["ratio"] = Field("ratio", description="Kind of feature.")
    windows: Lengths = Field((168,), description="Window lengths in steps; the default is the week of hours.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (RatioTerm(column, window) for window in self.windows)


class RollingConfig(DerivedConfig):
    """Rolling statistics."""

    kind: Literal["rolling"] = Field("rolling", description="Kind of feature.")
    windows: Lengths = Field(
        (24, 168), description="Window lengths in steps; the default is the day and the week of hours."
    )
    statistics: Statistics = Field(_ALL, description="What is computed over each window.")
    lag: int = Field(0, ge=0, description="Steps between the end of the window and the present one.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (RollingTerm(column, window, name, self.lag) for window in self.windows for name in self.statistics)


class QuantileConfig(DerivedConfig):
    """Rolling quantiles; every window is sorted, so long windows are slow."""

    kind: Literal["quantile"] = Field("quantile", description="Kind of feature.")
    windows: Lengths = Field((24,), description="Window lengths in steps; the default is the day of hours.")
    levels: Levels = Field((0.1, 0.9), description="Quantile levels.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (QuantileTerm(column, window, level) for window in self.windows for level in self.levels)


class ExponentialMeanConfig(DerivedConfig):
    """Exponentially weighted means."""

    kind: Literal["exponential_mean"] = Field("exponential_mean", description="Kind of feature.")
    half_lives: Lengths = Field(
        (24,), description="Steps after which a value weighs half; eight times as many are read."
    )

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (ExponentialMeanTerm(column, half_life) for half_life in self.half_lives)


class SeasonalConfig(DerivedConfig):
    """Statistics of the same step of the last seasons, such as this hour of the last seven days."""

    kind: Literal["seasonal"] = Field("seasonal", description="Kind of feature.")
    season: PositiveInt = Field(24, description="Length of the season in steps; the default is the day of hours.")
    counts: Lengths = Field((7,), description="How many seasons back.")
    statistics: Statistics = Field(("mean", "std"), description="What is computed over them.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (SeasonalTerm(column, self.season, count, name) for count in self.counts for name in self.statistics)


class DegreeDaysConfig(DerivedConfig):
    """Mean distance of a temperature below or above a base."""

    kind: Literal["degree_days"] = Field("degree_days", description="Kind of feature.")
    base: float = Field(18.0, description="Base in the column's unit.")
    directions: Annotated[tuple[Literal["heating", "cooling"], ...], Distinct] = Field(
        ("heating", "cooling"), description="Below the base (heating), above it (cooling)."
    )
    windows: Lengths = Field((24,), description="Window lengths in steps; the default is the day of hours.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (
            DegreeDaysTerm(column, self.base, where, window) for window in self.windows for where in self.directions
        )


class SinceEventConfig(DerivedConfig):
    """Steps since the column was last other than zero."""

    kind: Literal["since_event"] = Field("since_event", description="Kind of feature.")
    limits: Lengths = Field((168,), description="Largest number of steps that is told apart.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        return (SinceEventTerm(column, limit) for limit in self.limits)


class PresentConfig(DerivedConfig):
    """Whether there is a value."""

    kind: Literal["present"] = Field("present", description="Kind of feature.")

    @override
    def terms(self, column: str) -> Iterator[Term]:
        yield PresentTerm(column)


AnyDerived = Annotated[
    LagConfig
    | DifferenceConfig
    | RatioConfig
    | RollingConfig
    | QuantileConfig
    | ExponentialMeanConfig
    | SeasonalConfig
    | DegreeDaysConfig
    | SinceEventConfig
    | PresentConfig,
    Field(discriminator="kind"),
]
"""Settings of derived features, told apart by `kind`."""


def derived_terms(configs: Sequence[DerivedConfig], target: str) -> tuple[Term, ...]:
    """Every derived feature of a configuration, in its order.

    Args:
        configs: `features.derived`.
        target: Name of the target column, which a configuration may call `target`.
    """
    return tuple(
        term for config in configs for term in config.terms(target if config.column == "target" else config.column)
    )
