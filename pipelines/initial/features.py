"""The section `features` of a proposed configuration."""

import math
from typing import Any

import numpy as np

from forecasting.formats import as_number
from pipelines.initial.commented import CHECK, Group, Node, Setting
from pipelines.initial.evidence import Evidence
from pipelines.initial.words import TEMPERATURE_WORDS, has_word

_DAY_S, _YEAR_S = 86_400, 31_557_600
_LONG_YEARS = 4
"""Years of train from which the year has a second harmonic; fewer are learnt by heart."""
_FEW_YEARS = 1.5
"""Years of train that weeks must have."""
_WINDOW_SCALING_RATIO = 3.0
_HIGH, _MIN_SPREAD = 0.95, 3.0
"""A high value as a quantile, and how many times the median it is where seasons multiply."""
_DAYS_OFF = ("is_day_off", "is_day_off_yesterday", "is_day_off_tomorrow")
_HIGHEST_CELSIUS = 58.0
"""Hotter than any weather in degrees Celsius."""
_LOWEST_KELVIN = 180.0
"""Colder than any weather in kelvin, hotter than any in degrees Fahrenheit."""
_SCALED_RANGE = 2.0
"""Between the smallest and the largest of values that were brought to a common scale."""


def features_section(evidence: Evidence) -> Group:
    """The section `features`."""
    facts, step_s = evidence.facts, evidence.facts.frequency_s
    members: list[Node] = []
    if step_s < _DAY_S:
        if evidence.zone:
            members.append(Setting("calendar_time_zone", evidence.zone, "the zone that the times carry"))
        else:
            members.append(Setting("calendar_time_zone", "UTC", CHECK + "hours, days and holidays are counted on this clock; people follow a local one, such as Europe/Berlin"))  # fmt: skip
    members += _holidays(evidence)
    days_off = (
        _DAYS_OFF if any(isinstance(one, Setting) and one.key == "holidays" and not one.off for one in members) else ()
    )
    members.append(Setting("calendar", [*_calendar(step_s), *days_off], "what people follow" if step_s <= _DAY_S else ""))  # fmt: skip
    members.append(_fourier(evidence))
    members.append(_derived(evidence))
    if len(facts.store.series) > 1:
        members.append(_scaling(facts.level_ratio))
    if facts.level_ratio <= _WINDOW_SCALING_RATIO and (spread := _spread_of_counts(evidence)) > _MIN_SPREAD:
        members.append(Setting("scaling", {"columns": {"target": "log1p"}}, f"counts whose high values are {spread:.0f} times the usual one: by their logarithm"))  # fmt: skip
    if facts.lowest >= 0:
        members.append(Setting("lower_bound", 0, f"the target is never negative; its smallest value is {as_number(facts.lowest)}"))  # fmt: skip
    return Group("features", tuple(members))


def _holidays(evidence: Evidence) -> list[Node]:
    """Public holidays: in use where the table names those of a region in words, which are no covariate."""
    found = evidence.roles.holidays
    if evidence.facts.frequency_s > _DAY_S:
        return []
    reason = "country, or country and region, whose public holidays count; add is_day_off to calendar"
    if found is None:
        return [Setting("holidays", "DE-BE", reason, off=True)]
    alike = f"those of {found.region} are {found.likeness:.0%} like the days of {found.column}"
    if found.column in {one.name for one in evidence.roles.unused}:
        return [Setting("holidays", found.region, f"{CHECK}public holidays, known ahead: {alike}")]
    return [Setting("holidays", found.region, f"{alike}: with is_day_off in calendar they need no column that is known ahead", off=True)]  # fmt: skip


def _calendar(step_s: int) -> tuple[str, ...]:
    if step_s > _DAY_S:
        return ()
    return ("day_of_week", "is_weekend", "day_of_month") if step_s == _DAY_S else ("day_of_week", "is_weekend")


def _fourier(evidence: Evidence) -> Setting:
    """The day, and the year where the training cut has enough of them."""
    step_s = evidence.facts.frequency_s
    held_out = (evidence.lengths.validation + evidence.lengths.test) * step_s
    years = (evidence.facts.longest * step_s - held_out) / _YEAR_S
    terms = [{"period": "24h", "order": min(2, max(1, _DAY_S // step_s // 4))}] if step_s < _DAY_S else []
    # Weeks of less than two years are all that most shops have, and their year is what there is to forecast.
    if years >= (_FEW_YEARS if step_s > _DAY_S else 2):
        order = 2 if years >= _LONG_YEARS or step_s > _DAY_S else 1
        return Setting("fourier", [*terms, {"period": "8766h", "order": order}], f"the year too: {years:.1f} of them lie before the validation period")  # fmt: skip
    return Setting("fourier", terms, f"no year: of {years:.1f} years a model can only learn it by heart")


def _scaling(ratio: float) -> Setting:
    if ratio <= _WINDOW_SCALING_RATIO:
        return Setting("target_scaling", "train", f"one scale: large series are only {ratio:.1f} times as large as small ones")  # fmt: skip
    size = f"{ratio:.1f} times as large" if math.isfinite(ratio) else "far larger"
    return Setting("target_scaling", "window", f"each window by its own level: large series are {size} {'as' if math.isfinite(ratio) else 'than'} small ones")  # fmt: skip


def _spread_of_counts(evidence: Evidence) -> float:
    """How many times the median a high value of a target is that counts something; 0 where it does not."""
    values = np.concatenate([target[np.isfinite(target)] for target in evidence.facts.targets()])
    if evidence.facts.lowest < 0 or np.any(values != np.round(values)):
        return 0.0
    middle, high = np.quantile(values, (0.5, _HIGH))
    return float(high / max(middle, 1.0))


def _derived(evidence: Evidence) -> Setting:
    """Rolling statistics of the target, and what the weather of the last days was like."""
    windows = list(evidence.lengths.windows)
    terms: list[dict[str, Any]] = [
        {"kind": "rolling", "column": "target", "windows": windows, "statistics": ["mean", "std"]}
    ]
    reasons = ["rolling statistics over the seasons"]
    step_s = evidence.facts.frequency_s
    day = _DAY_S // step_s
    days = [steps for steps in (day, 3 * day) if steps <= evidence.lengths.context]
    for column in _temperatures(evidence) if step_s < _DAY_S and days else ():
        terms.append({"kind": "rolling", "column": column, "windows": days, "statistics": ["mean"]})
        comfort = _comfort(evidence, column)
        if comfort is None:
            reasons.append(
                f"{column}: heat that stays in the walls; it is in no unit of temperatures, so there are no degree days"
            )
            continue
        base, unit = comfort
        terms.append({"kind": "degree_days", "column": column, "base": base, "windows": [1, *days]})
        reasons.append(f"{column}: heat that stays in the walls, and how far it is from {base} {unit}")
    return Setting("derived", terms, "; ".join(reasons))


def _comfort(evidence: Evidence, column: str) -> tuple[int, str] | None:
    """The temperature that needs neither heating nor cooling, in the unit of a column; none where it was scaled."""
    place = _place(evidence, column)
    values = np.concatenate([series.values[:, place] for series in evidence.facts.store])
    if np.nanmax(values) - np.nanmin(values) <= _SCALED_RANGE:
        return None
    if np.nanmedian(values) > _LOWEST_KELVIN:
        return 293, "K"
    return (20, "°C") if np.nanmax(values) <= _HIGHEST_CELSIUS else (68, "°F")


def _temperatures(evidence: Evidence) -> list[str]:
    """Covariates that are temperatures by their names and have values."""
    spec = evidence.facts.store.spec
    named = [column for column in (*spec.observed, *spec.known) if has_word(column, TEMPERATURE_WORDS)]
    return [
        column
        for column in named
        if any(np.isfinite(series.values[:, _place(evidence, column)]).any() for series in evidence.facts.store)
    ]


def _place(evidence: Evidence, column: str) -> int:
    return evidence.facts.store.spec.columns.index(column)
