"""Whether a panel looks different in one part of a story from another: the criterion, stated once. Pure."""

from collections.abc import Sequence

from tests.integration.services.watched.queries import LineRecord

SPREAD, SHARE, LEAST = 0.5, 0.25, 1e-6
"""A line may leave what it was by half its spread, or by a quarter of its greatest value, and is still the same."""
ENOUGH = 2
"""Points that must lie outside: one alone may be a scrape that came late."""


def differs(lines: Sequence[LineRecord], before: Sequence[LineRecord], *, end: float, gone_s: float = 3.0) -> bool:
    """Whether lines left the band in which they were before, came newly, or ended.

    Args:
        lines: Of the part that is looked at.
        before: Of the part that it is compared with.
        end: Of the part, epoch seconds.
        gone_s: A line without a point in so long before the end is gone.
    """
    known = {_key(line): line for line in before}
    now = {_key(line): line for line in lines}
    for key, line in now.items():
        if key not in known:
            if sum(value != 0 for _, value in line.points) >= ENOUGH:
                return True
        elif n_outside(line, known[key]) >= ENOUGH:
            return True
    return any(key not in now or now[key].points[-1][0] < end - gone_s for key in known)


def n_outside(line: LineRecord, before: LineRecord) -> int:
    """Points of a line outside the band of what it was."""
    values = [value for _, value in before.points]
    low, high = min(values), max(values)
    room = max(SPREAD * (high - low), SHARE * max(abs(low), abs(high)), LEAST)
    return sum(not low - room <= value <= high + room for _, value in line.points)


def _key(line: LineRecord) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(line.labels.items()))
