"""Guess of which country's public holidays a column speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from forecasting.localities import holiday_regions, public_holidays
from pipelines.initial.look import ColumnKind, ColumnLook, TableLook
from pipelines.initial.words import names_holiday

_MIN_LIKENESS, _MIN_REGION_LEAD = 0.8, 0.02
"""How alike the days must be, and by how much more a part of a country."""
_MIN_DAYS = 5
_MAX_COUNTRIES = 15
"""Countries whose parts are looked at: those that are most alike as a whole."""
_DAY_S = 86_400
_DAY_ZERO = date(1970, 1, 1).toordinal()

Days = frozenset[int]


@dataclass(frozen=True)
class HolidayGuess:
    """A region whose holidays are about the days of a column. likeness: twice the common days over the days of both."""

    column: str
    region: str
    likeness: float


def guess_region(look: TableLook, seconds: npt.NDArray[np.int64]) -> HolidayGuess | None:
    """The region whose public holidays are the days of a column with such a name; none where no region's are.

    Args:
        look: The table.
        seconds: Time of each row, epoch seconds on the clock of the table `[rows]`.
    """
    days = seconds // _DAY_S
    covered: Days = frozenset(np.unique(days).tolist())
    for column in look.of_kind(ColumnKind.FLAG, ColumnKind.TEXT):
        marked = _marked_days(column, days) if names_holiday(column.name) else frozenset()
        if len(marked) >= _MIN_DAYS and (found := _best(column.name, marked, covered)):
            return found
    return None


def _marked_days(column: ColumnLook, days: npt.NDArray[np.int64]) -> Days:
    """Days of which most rows are marked; where no day has so many, those with any."""
    marks = column.codes >= 0 if column.numbers is None else np.nan_to_num(column.numbers) > 0
    found, place = np.unique(days, return_inverse=True)
    share = np.bincount(place, weights=marks) / np.bincount(place)
    return frozenset(found[share >= 0.5].tolist() or found[share > 0].tolist())


def _best(column: str, marked: Days, covered: Days) -> HolidayGuess | None:
    years = range(_year(min(covered)), _year(max(covered)) + 1)

    def likeness(region: str) -> float:
        there = {day.toordinal() - _DAY_ZERO for day in public_holidays(region, years)} & covered
        return 2 * len(there & marked) / (len(there) + len(marked))

    regions = holiday_regions()
    alike = {country: likeness(country) for country in regions}
    likely = sorted(alike, key=lambda country: -alike[country])[:_MAX_COUNTRIES]
    parts = {region: likeness(region) for country in likely for region in _parts(country, regions)}
    best = max(parts, key=lambda region: parts[region], default=likely[0])
    # A part has the days of its country and some of its own: one that is hardly more alike says nothing.
    if parts.get(best, 0.0) < alike[likely[0]] + _MIN_REGION_LEAD:
        best = likely[0]
    found = max(alike.get(best, 0.0), parts.get(best, 0.0))
    return HolidayGuess(column, best, found) if found >= _MIN_LIKENESS else None


def _parts(country: str, regions: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [f"{country}-{part}" for part in regions[country]]


def _year(day: int) -> int:
    return date.fromordinal(day + _DAY_ZERO).year
