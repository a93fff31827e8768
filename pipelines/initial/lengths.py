"""Lengths that fit a table: horizon, segment, context, and the validation and test periods."""

import math
from dataclasses import dataclass

from forecasting.errors import DataError

_HOUR_S, _DAY_S, _WEEK_S = 3_600, 86_400, 604_800
_MIN_SEGMENT, _MAX_SEGMENT = 4, 200
_SEGMENTS = 12
"""Steps of the recurrence that are aimed for."""
_TEST_RATIO, _VALIDATION_RATIO = 0.15, 0.1
_TRAIN_RATIO = 0.2
"""Least share of the history from which training windows begin."""


@dataclass(frozen=True)
class LengthsGuess:
    """Lengths in steps; seasons that the context can hold, ascending. windows: of rolling features."""

    horizon: int
    segment: int
    context: int
    seasons: tuple[int, ...]
    windows: tuple[int, ...]
    validation: int
    test: int

    @property
    def embargo(self) -> bool:
        """Whether validation and test hold forecasts behind an embargo of one horizon."""
        return self.validation >= 2 * self.horizon and self.test >= 3 * self.horizon

    @property
    def history(self) -> int:
        """Steps that one window reads."""
        return self.context + max(self.windows, default=1) - 1

    @property
    def needed(self) -> int:
        """Steps that a series must have for a single training window."""
        return self.context + max(self.windows, default=1) + self.horizon + self.validation + self.test


def fit_lengths(n_steps: int, step_s: int, seasons: tuple[int, ...], *, horizon: int | None = None) -> LengthsGuess:
    """The longest lengths, up to what is useful, that leave a history of `n_steps` enough to learn from.

    Args:
        n_steps: Steps of a series, usually the median one.
        step_s: Step in seconds.
        seasons: Confirmed seasons, ascending; none: a season of one step, which repeats the last value.
        horizon: Steps ahead; none: what the step suggests.

    Raises:
        DataError: Not even the shortest lengths fit.
    """
    horizons = [horizon] if horizon else _horizons(step_s, seasons)
    smallest = None
    for n_train in (int(_TRAIN_RATIO * n_steps), 1):
        for n_seasons in range(len(seasons), -1, -1):
            for ahead in horizons:
                for lengths in _descending(n_steps, step_s, seasons[:n_seasons] or (1,), ahead):
                    if lengths.needed + n_train <= n_steps:
                        return lengths
                    if smallest is None or lengths.needed < smallest.needed:
                        smallest = lengths
    needed = smallest.needed if smallest else 1
    raise DataError(
        f"a series must have at least {needed:,} steps (context, horizon, validation and test period), and the longest has {n_steps:,}; "
        "bring more rows" + (", or a shorter --horizon" if horizon else "")
    )


def segment_length(step_s: int, seasons: tuple[int, ...]) -> int:
    """Steps in one segment of the recurrence: the shortest season, a part of a long one, several short ones."""
    if seasons[0] > 1:
        segment = 13 if step_s == _WEEK_S and seasons[0] == 52 else seasons[0]
    elif step_s < _HOUR_S and _HOUR_S % step_s == 0:
        segment = _HOUR_S // step_s
    elif _DAY_S % step_s == 0 and step_s < _DAY_S:
        segment = _DAY_S // step_s
    else:
        segment = 7 if step_s == _DAY_S else 4
    while segment > _MAX_SEGMENT and segment % 2 == 0:
        segment //= 2
    return segment * math.ceil(_MIN_SEGMENT / segment)


def _descending(n_steps: int, step_s: int, seasons: tuple[int, ...], horizon: int) -> list[LengthsGuess]:
    """Lengths with an ever shorter context."""
    segment = segment_length(step_s, seasons)
    longest = math.ceil(max(2 * max(seasons), _SEGMENTS * segment) / segment)
    shortest = max(2, math.ceil(max(seasons) / segment))
    unit = _unit(n_steps, step_s)
    test = _whole(_TEST_RATIO * n_steps, 2 * horizon, unit)
    validation = _whole(_VALIDATION_RATIO * n_steps, horizon, unit)
    windows = tuple(season for season in seasons if season > 1) or (segment,)
    return [
        LengthsGuess(horizon, segment, n * segment, seasons, windows, validation, test)
        for n in range(longest, shortest - 1, -1)
    ]


def _horizons(step_s: int, seasons: tuple[int, ...]) -> list[int]:
    if step_s < _DAY_S and _DAY_S % step_s == 0:
        shorter = _HOUR_S // step_s if step_s < _HOUR_S else _DAY_S // step_s // 4
        return [_DAY_S // step_s, max(1, shorter)]
    if step_s == _DAY_S:
        return [28, 14, 7]
    if step_s == _WEEK_S:
        return [13, 4]
    return [seasons[0] if seasons else 12, 4]


def _unit(n_steps: int, step_s: int) -> int:
    """Steps to which periods are rounded: weeks of a long table, days of a shorter one."""
    for unit_s in (_WEEK_S, _DAY_S):
        if unit_s % step_s == 0 and unit_s // step_s <= _VALIDATION_RATIO * n_steps / 2:
            return unit_s // step_s
    return 1


def _whole(wanted: float, least: int, unit: int) -> int:
    return max(round(wanted / unit), math.ceil(least / unit)) * unit
