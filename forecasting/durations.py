"""Durations as they are written in configurations: a number and a unit, such as `30min`, `24h`, `28d`."""

import re

from forecasting.errors import ConfigError

_UNITS_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str) -> int:
    """Seconds of a duration.

    Raises:
        ConfigError: The text is no positive whole number and one of s, min, h, d, w.
    """
    match = re.fullmatch(r"\s*(\d*)\s*(s|min|h|d|w)\s*", text, flags=re.IGNORECASE)
    if not match or (match[1] and not int(match[1])):
        raise ConfigError(f"{text!r} must be a duration such as 30min, 24h, 28d or 4w")
    return int(match[1] or 1) * _UNITS_S[match[2].lower()]


def duration_steps(text: str, step_s: int) -> int:
    """Steps in a duration.

    Raises:
        ConfigError: It is no whole number of steps.
    """
    seconds = duration_s(text)
    if seconds % step_s:
        raise ConfigError(f"{text!r} must be a whole number of steps of {step_s} s")
    return seconds // step_s
