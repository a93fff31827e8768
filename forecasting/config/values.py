"""Kinds of values that settings share, checked when the configuration is read."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, PositiveInt

from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.localities import holiday_region, time_zone


def _checked_by(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        try:
            check(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(validate)


def _distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(
            f"each value must occur once; {twice[0]} occurs {[str(v) for v in values].count(twice[0])} times"
        )
    return values


def _ascending(bounds: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = bounds
    if any(bound != bound for bound in bounds):
        raise ValueError("a bound must be a number or null")
    if low is not None and high is not None and low > high:
        raise ValueError(f"the smallest value ({low:g}) must not be above the largest ({high:g})")
    return bounds


Duration = Annotated[str, _checked_by(duration_s)]
"""A number and a unit such as 24h."""

ZoneName = Annotated[str, _checked_by(time_zone)]
"""An IANA time zone."""

HolidayRegion = Annotated[str, _checked_by(holiday_region)]
"""A country, or country and subdivision."""

Distinct = AfterValidator(_distinct)
"""Marks a tuple whose values differ."""

Lengths = Annotated[tuple[PositiveInt, ...], Distinct]
"""Different lengths in steps."""

Range = Annotated[tuple[float | None, float | None], AfterValidator(_ascending)]
"""Smallest and largest value; none: no bound."""
