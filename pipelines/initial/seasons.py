"""Seasons of a target: those that its step suggests, confirmed by autocorrelation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

_DAY_S, _WEEK_S = 86_400, 604_800
_MIN_CORRELATION = 0.1
"""Least autocorrelation of changes at a season."""
_MIN_FOUND_CORRELATION = 0.3
"""Least autocorrelation of changes at a season that no calendar suggests."""
_MIN_WEEK_LEAD = 0.02
"""By how much days a week apart must be more alike than days between."""
_MIN_WAVE_LEAD = 0.3
"""By how much values a season apart must be more alike than half a season apart."""
_MAX_SEASON = 2_016
"""Steps in a season at most: the context must hold it."""
_MAX_SEARCH = 400
_OUTER = 0.01
"""Share of values on each side that count as the quantile there."""
_MAX_SERIES, _MAX_STEPS = 50, 20_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeasonGuess:
    """A season in steps, what it is called, and the correlation of what lies a season apart: changes, or values."""

    steps: int
    name: str
    correlation: float
    compared: Literal["changes", "values"] = "changes"


@dataclass(frozen=True)
class SeasonsGuess:
    """Seasons that were confirmed, ascending, and those that were not. found: none of them by the calendar."""

    confirmed: tuple[SeasonGuess, ...]
    rejected: tuple[SeasonGuess, ...]


def calendar_seasons(step_s: int) -> tuple[tuple[int, str], ...]:
    """Seasons that a step suggests: day and week, or the year of weeks; in steps, ascending."""
    if step_s == _WEEK_S:
        return ((52, "year"),)
    lengths = ((_DAY_S, "day"), (_WEEK_S, "week"))
    return tuple(
        (length // step_s, name)
        for length, name in lengths
        if length % step_s == 0 and 1 < length // step_s <= _MAX_SEASON
    )


def guess_seasons(targets: Sequence[Floats], step_s: int) -> SeasonsGuess:
    """Confirm the seasons that a step suggests; where there is none, look for another one.

    Changes are compared first, not values: a slow level is like itself at any distance. A week must be more
    alike than the days between, for a daily season repeats every week too. A long smooth wave hardly changes
    from step to step; the shortest season is confirmed by values too, where these are far more alike a season
    apart than half a season apart, which no slow level is.

    Args:
        targets: Target of each series on its grid `[T]`, NaN where missing.
        step_s: Step in seconds.
    """
    changes = _changes(targets)
    tried = [SeasonGuess(steps, name, autocorrelation(changes, steps)) for steps, name in calendar_seasons(step_s)]
    confirmed = tuple(season for season in tried if _is_confirmed(season, tried[0], changes))
    if tried and tried[0] not in confirmed and (wave := _by_values(tried[0], targets)):
        tried[0], confirmed = wave, (wave, *confirmed)
    rejected = tuple(season for season in tried if season not in confirmed)
    if not confirmed and (found := _search(changes)):
        confirmed = (found,)
    return SeasonsGuess(confirmed, rejected)


def autocorrelation(changes: Sequence[Floats], lag: int) -> float:
    """Correlation of values `lag` apart, over all series together; 0 where none lie so far apart."""
    products = squares = others = 0.0
    for series in changes:
        if len(series) <= lag:
            continue
        now, before = series[lag:], series[: len(series) - lag]
        both = ~(np.isnan(now) | np.isnan(before))
        now, before = now[both], before[both]
        products += float(now @ before)
        squares += float(now @ now)
        others += float(before @ before)
    scale = float(np.sqrt(squares * others))
    return products / scale if scale > 0 else 0.0


def _is_confirmed(season: SeasonGuess, shortest: SeasonGuess, changes: Sequence[Floats]) -> bool:
    if season.correlation < _MIN_CORRELATION:
        return False
    if season.name != "week" or shortest.name != "day":
        return True
    between = [autocorrelation(changes, days * shortest.steps) for days in range(2, 6)]
    return season.correlation > float(np.mean(between)) + _MIN_WEEK_LEAD


def _by_values(season: SeasonGuess, targets: Sequence[Floats]) -> SeasonGuess | None:
    values = _standardised([target[-_MAX_STEPS:] for target in _spread(targets)])
    apart = autocorrelation(values, season.steps)
    if season.steps < 4 or apart < autocorrelation(values, season.steps // 2) + _MIN_WAVE_LEAD:
        return None
    return replace(season, correlation=apart, compared="values") if apart >= _MIN_FOUND_CORRELATION else None


def _search(changes: Sequence[Floats]) -> SeasonGuess | None:
    longest = max((len(series) for series in changes), default=0)
    lags = range(2, min(longest // 4, _MAX_SEARCH))
    found = {lag: autocorrelation(changes, lag) for lag in lags}
    if not found:
        return None
    best = max(found, key=lambda lag: found[lag])
    if found[best] < _MIN_FOUND_CORRELATION:
        return None
    # A season repeats: of its multiples the first peak that is about as strong is the season.
    peaks = (lag for lag in lags if found[lag] >= max(found.get(lag - 1, -1.0), found.get(lag + 1, -1.0)))
    first = next(lag for lag in peaks if found[lag] > 0.9 * found[best])
    return SeasonGuess(first, "period", found[first])


def _changes(targets: Sequence[Floats]) -> list[Floats]:
    return _standardised([np.diff(target[-_MAX_STEPS:]) for target in _spread(targets)])


def _spread(targets: Sequence[Floats]) -> list[Floats]:
    """Some series, spread over all."""
    chosen = np.unique(np.linspace(0, len(targets) - 1, _MAX_SERIES).round().astype(int))
    return [targets[i] for i in chosen]


def _standardised(values: Sequence[Floats]) -> list[Floats]:
    """Each series centred and in units of its own deviation, without its extremes; a constant one is left out."""
    found = []
    for series in values:
        known = series[~np.isnan(series)]
        if len(known) > 1 and known.std() > 0:
            # One fault of a sensor is larger than all that comes again.
            series = _bounded(series, known)
            known = series[~np.isnan(series)]
            found.append((series - known.mean()) / known.std())
    return found


def _bounded(series: Floats, known: Floats) -> Floats:
    """A series within its outer quantiles, if it varies between them."""
    low, high = np.quantile(known, (_OUTER, 1 - _OUTER))
    return np.clip(series, low, high) if low < high else series
