"""Durations as they are written in configurations: a number and a unit, such as `30min`, `24h`, `28d`."""

import re

from forecasting.errors import ConfigError

_UNITS_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TEXT = re.compile(r"\s*([0-9]{0,12})\s*(s|min|h|d|w)\s*", re.IGNORECASE)
_LONGEST_S = 1_000 * 366 * 86_400
"""A thousand years: what is longer is a slip, and no calendar could hold it."""


def duration_s(text: str) -> int:
    """Seconds of a duration.

    Raises:
        ConfigError: The text is no positive whole number and one of s, min, h, d, w, or more than a thousand years.
    """
    match = _TEXT.fullmatch(text)
    seconds = int(match[1] or 1) * _UNITS_S[match[2].lower()] if match else 0
    if not 0 < seconds <= _LONGEST_S:
        raise ConfigError(f"{text!r} must be a duration such as 30min, 24h, 28d or 4w, of at most a thousand years")
    return seconds


def duration_steps(text: str, step_s: int) -> int:
    """Steps in a duration.

    Raises:
        ConfigError: It is no whole number of steps.
    """
    seconds = duration_s(text)
    if seconds % step_s:
        raise ConfigError(f"{text!r} must be a whole number of steps of {step_s} s")
    return seconds // step_s
