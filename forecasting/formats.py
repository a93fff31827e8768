"""Numbers as people read them; everything that is missing or not finite is a dash."""

import math
from datetime import UTC, datetime
from typing import Any

DASH = "–"


def as_number(value: Any) -> str:
    """Four significant digits or so, with separators: 12,345, 131.2, 9.87, 0.0123."""
    if not _known(value):
        return DASH
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1_000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.4f}" if size >= 1e-3 else f"{value:.2e}"


def as_limit(value: float) -> str:
    """A number that a person has set, with the digits that it was set with."""
    return f"{value:,.12g}"


def as_share(value: Any) -> str:
    """A ratio in percent: 47.3 %, 0.012 %."""
    if not _known(value):
        return DASH
    if 0 < abs(value) < 1e-5:
        return "< 0.001 %"
    return f"{value * 100:.2g} %" if 0 < abs(value) < 1e-3 else f"{value * 100:.1f} %"


def as_signed_share(value: Any) -> str:
    """A margin in percent with its sign: +12.3 %."""
    if not _known(value):
        return DASH
    return f"{value * 100:+,.0f} %" if abs(value) >= 10 else f"{value * 100:+.1f} %"


def as_margin(value: Any, limit: float) -> str:
    """The margin of a rule: in percent of its limit, the plain number with its sign where that is 0."""
    if limit or not _known(value):
        return as_signed_share(value)
    return f"+{as_number(value)}" if value > 0 else as_number(value)


def as_bytes(value: Any) -> str:
    """A size: 460 kB, 1.57 MB."""
    if not _known(value):
        return DASH
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.0f} {unit}" if value / size >= 100 else f"{value / size:#.3g} {unit}"
    return f"{value:.0f} B"


def as_milliseconds(value: Any) -> str:
    """A latency: 0.14 ms, 24 ms."""
    if not _known(value):
        return DASH
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2f} ms"


def as_duration(value: Any) -> str:
    """Seconds: 0.8 s, 41 s, 3 min 20 s, 2 h 5 min, 1 h."""
    if not _known(value):
        return DASH
    if value < 10:
        return f"{value:.1f} s"
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        large, small = f"{seconds // 60} min", f"{seconds % 60} s"
    else:
        large, small = f"{seconds // 3_600} h", f"{seconds % 3_600 // 60} min"
    return large if small.startswith("0 ") else f"{large} {small}"


def as_time(value: Any) -> str:
    """Epoch seconds as a time in UTC."""
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M} UTC" if _known(value) else DASH


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
