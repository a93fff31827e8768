"""Kinds of values that settings share, checked when the configuration is read."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, PositiveInt

from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.localities import holiday_region, time_zone
from forecasting.schedules import check_schedule


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


def _time_form(form: str) -> str:
    """The same form of times, if it tells the date."""
    moment = datetime(2021, 12, 31, 23, 59, 58, tzinfo=UTC)
    try:
        found = datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(
            f"must be a form of strptime such as %d/%m/%Y %H:%M, found {form!r}: {str(error).splitlines()[0]}"
        ) from error
    if found.date() != moment.date():
        raise ValueError(f"must tell year, month and day, such as %d/%m/%Y, found {form!r}")
    return form


Duration = Annotated[str, _checked_by(duration_s)]
"""A number and a unit such as 24h."""

Schedule = Annotated[str, _checked_by(check_schedule)]
"""Five fields of cron, such as 0 3 * * 1."""

ZoneName = Annotated[str, _checked_by(time_zone)]
"""An IANA time zone."""

HolidayRegion = Annotated[str, _checked_by(holiday_region)]
"""A country, or country and subdivision."""

TimeForm = Annotated[str, AfterValidator(_time_form)]
"""A form of `datetime.strptime` that tells the date."""

Distinct = AfterValidator(_distinct)
"""Marks a tuple whose values differ."""

Lengths = Annotated[tuple[PositiveInt, ...], Distinct]
"""Different lengths in steps."""

Range = Annotated[tuple[float | None, float | None], AfterValidator(_ascending)]
"""Smallest and largest value; none: no bound."""
