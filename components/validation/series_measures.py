"""Measures of one series, each a pure function of arrays, for the rules that judge series one by one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

UNIT_FACTORS = (10.0, 100.0, 1000.0)
_FACTOR_TOLERANCE = 0.1
"""Decades by which a ratio may miss a factor: 10 is found between 7.9 and 12.6."""
_CHANGED_RATIO = 0.8
"""Share of the steps of a run that must be of the other unit."""
_MIN_RUN = 24
"""Steps of the other unit that are no accident."""
_MAX_RUN = 336
"""Steps over which a change must last, where a season is longer."""
_MIN_DISTINCT = 10
"""Different values that a measured quantity has at least; a column of fewer holds codes, such as the month."""
_RECENT_SEASONS = 8
"""Seasons before a change that values after it are held against."""
_MAX_USUAL_RATIO = 0.1
"""Share of values after a change that may lie between the usual ones of their place in the season."""
_SIDE_BLOCKS = 4
"""Seasons on each side of a level shift."""
_MIN_FILLED_RATIO = 0.5
_MIN_SCALE_RATIO = 0.02
"""Usual changes of a level are counted as this share of it at least, so that a very steady series may move."""


@dataclass(frozen=True)
class RunReport:
    """The longest run of flags: its first index and its length; length 0 where there is none."""

    start: int
    length: int


@dataclass(frozen=True)
class LevelShiftReport:
    """The largest jump of the level, in usual changes from season to season, and the index where it happens."""

    score: float
    index: int
    before: float
    after: float


@dataclass(frozen=True)
class UnitChangeReport:
    """A change of unit: what the values are multiplied by or become, and the index from which on."""

    change: str
    index: int


def longest_run(flags: Flags) -> RunReport:
    """The longest run of True in `[T]`; the first of several of one length."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    if not len(edges):
        return RunReport(0, 0)
    lengths = edges[1::2] - edges[::2]
    best = int(np.argmax(lengths))
    return RunReport(int(edges[2 * best]), int(lengths[best]))


def missing_ratio(target: Floats, hidden: Flags) -> float:
    """Share of steps `[T]` without a target; those that were hidden on purpose do not count."""
    return float(np.mean(np.isnan(target) & ~hidden)) if len(target) else 0.0


def is_constant(values: Floats, min_values: int) -> bool:
    """Whether all values `[T]` that there are are one; fewer than `min_values` say nothing."""
    found = values[~np.isnan(values)]
    return len(found) >= max(1, min_values) and bool(found.min() == found.max())


def level_shift(values: Floats, season: int) -> LevelShiftReport:
    """The place where the level jumps most.

    The level is the median of a season. At each boundary the median of four seasons before is compared
    with that of four after; the difference is counted in median changes from one season to the next
    (scaled to a standard deviation), so that a slow yearly wave is no shift.

    Args:
        values: `[T]`, NaN where missing.
        season: Steps.

    Returns:
        Score 0 where there are fewer than eight seasons with values in half their steps.
    """
    n_blocks = len(values) // season
    blocks = values[len(values) - n_blocks * season :].reshape(n_blocks, season)
    filled = np.mean(~np.isnan(blocks), axis=1) >= _MIN_FILLED_RATIO if n_blocks else np.zeros(0, dtype=np.bool_)
    places = np.flatnonzero(filled)
    if len(places) < 2 * _SIDE_BLOCKS:
        return LevelShiftReport(0.0, 0, 0.0, 0.0)
    levels = np.nanmedian(blocks[places], axis=1)
    usual = 1.4826 * float(np.median(np.abs(np.diff(levels))))
    scale = max(usual, _MIN_SCALE_RATIO * float(np.median(np.abs(levels))))
    if scale == 0:
        return LevelShiftReport(0.0, 0, 0.0, 0.0)
    windows = np.median(np.lib.stride_tricks.sliding_window_view(levels, _SIDE_BLOCKS), axis=1)
    jumps = np.abs(windows[_SIDE_BLOCKS:] - windows[:-_SIDE_BLOCKS])
    best = int(np.argmax(jumps))
    index = len(values) - n_blocks * season + int(places[best + _SIDE_BLOCKS]) * season
    return LevelShiftReport(
        float(jumps[best] / scale), index, float(windows[best]), float(windows[best + _SIDE_BLOCKS])
    )


def unit_change(values: Floats, season: int, *, is_temperature: bool = False) -> UnitChangeReport | None:
    """Where values go on in another unit, for a while or for good.

    Each step is compared with the one a season earlier: in a run of 24 steps, and then for a season or up to the end, the
    ratio of most of them must be 10, 100 or 1000 or one of their inverses; of a temperature, the later value must lie
    nearer to the conversion of the earlier one than to the earlier one itself, by far. Values of that season must also
    hardly occur among the usual ones of the eight seasons before, each at its own place in the season. A column of few
    different values, such as the month or a code, has no unit.

    Args:
        values: `[T]`, NaN where missing.
        season: Steps.
        is_temperature: Look for °C and °F too.

    Returns:
        The earliest change, or none.
    """
    if len(values) <= season:
        return None
    before, after = values[:-season], values[season:]
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(after / before)
    found = [(f"times {factor:g}", np.abs(decades - np.log10(factor)) < _FACTOR_TOLERANCE) for factor in UNIT_FACTORS]
    found += [
        (f"divided by {factor:g}", np.abs(decades + np.log10(factor)) < _FACTOR_TOLERANCE) for factor in UNIT_FACTORS
    ]
    if is_temperature:
        found += [
            ("°C to °F", _is_converted(before, after, before * 1.8 + 32)),
            ("°F to °C", _is_converted(before, after, (before - 32) / 1.8)),
        ]
    starts = [
        (first, change) for change, flags in found if (first := _first_lasting(values, flags, season)) is not None
    ]
    return UnitChangeReport(min(starts)[1], min(starts)[0]) if starts else None


def _first_lasting(values: Floats, flags: Flags, season: int) -> int | None:
    """First index of `values` from which on a change lasts; flags `[T - season]`: steps that fit it."""
    length = min(max(season, _MIN_RUN), _MAX_RUN)
    is_comparable = ~np.isnan(values[season:] + values[:-season])
    for first in _dense(flags, _MIN_RUN):
        fits, counts = flags[first : first + length], is_comparable[first : first + length]
        lasts = np.count_nonzero(fits) >= _CHANGED_RATIO * np.count_nonzero(counts)
        if lasts and _is_unusual(values, int(first) + season, season=season, length=length):
            return int(first) + season
    return None


def _is_unusual(values: Floats, index: int, *, season: int, length: int) -> bool:
    """Whether the values from `index` on hardly occur before it, each at its place in the season."""
    n_seasons = min(_RECENT_SEASONS, index // season)
    recent = values[index - n_seasons * season : index]
    after = values[index : index + min(length, season)]
    if max(_n_distinct(recent), _n_distinct(after)) < _MIN_DISTINCT:
        return False
    places = recent.reshape(n_seasons, season)[:, : len(after)]
    low, high = np.fmin.reduce(places), np.fmax.reduce(places)
    is_known = ~np.isnan(after + low)
    is_usual = (after[is_known] >= low[is_known]) & (after[is_known] <= high[is_known])
    return bool(np.count_nonzero(is_usual) <= _MAX_USUAL_RATIO * np.count_nonzero(is_known))


def _n_distinct(values: Floats) -> int:
    return len(np.unique(values[~np.isnan(values)]))


def _is_converted(before: Floats, after: Floats, converted: Floats) -> Flags:
    return np.abs(after - converted) * 3 < np.abs(after - before)


def _dense(flags: Flags, n_steps: int) -> npt.NDArray[np.int64]:
    """Flagged steps from which on most of `n_steps` steps are flagged."""
    if len(flags) < n_steps:
        return np.zeros(0, dtype=np.int64)
    sums = np.cumsum(np.r_[0, flags])
    return np.flatnonzero(
        (sums[n_steps:] - sums[:-n_steps] >= _CHANGED_RATIO * n_steps) & flags[: len(flags) - n_steps + 1]
    )
