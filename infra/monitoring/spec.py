"""Limits and times of the rules."""

from dataclasses import dataclass

MINUTE_S, HOUR_S, DAY_S, WEEK_S = 60.0, 3_600.0, 86_400.0, 604_800.0
RUNBOOK = "docs/runbook.md"
_UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m"), (1.0, "s"))


@dataclass(frozen=True)
class TimeSpec:
    """How fast the rules live, so that a test sees in seconds what takes hours.

    speed: windows and waits are divided by it. shortest_s: no window becomes shorter, since a rate needs two scrapes.
    """

    speed: float = 1.0
    shortest_s: float = 0.0

    def window(self, seconds: float) -> str:
        """A range of PromQL."""
        return duration(max(seconds / self.speed, self.shortest_s))

    def wait(self, seconds: float) -> str:
        """How long an expression must hold before it is an alert."""
        return duration(seconds / self.speed)


@dataclass(frozen=True)
class RulesSpec:
    """What the rules hold a service to.

    *_objective: share of forecast requests that must be answered, or in latency_s. latency_s: an edge of the histogram's
    buckets. min_rate: requests a second under which no error budget burns, else one failed call would page. *_age_s: how old
    a thing may be, seconds; of data and scores, how long after the end of the next step, since a day's value cannot come hourly. levels: nominal intervals whose coverage is watched.
    runbook: where docs/runbook.md can be read, since a relative address opens nowhere but in the repository.
    """

    availability_objective: float = 0.999
    latency_objective: float = 0.99
    latency_s: float = 0.25
    min_rate: float = 0.02
    fallback_ratio: float = 0.05
    server_error_ratio: float = 0.05
    server_latency_s: float = 0.25
    run_age_s: float = 26 * HOUR_S
    model_age_s: float = 2 * DAY_S
    data_age_s: float = 3 * HOUR_S
    scored_age_s: float = 12 * HOUR_S
    request_age_s: float = 6 * HOUR_S
    worker_age_s: float = 10 * MINUTE_S
    round_age_s: float = 30 * MINUTE_S
    quarantined_ratio: float = 0.05
    degradation: float = 2
    bias_ratio: float = 0.1
    outside_most: float = 1.5
    outside_least: float = 0.2
    psi: float = 0.25
    min_points: int = 24
    levels: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
    time: TimeSpec = TimeSpec()
    runbook: str = RUNBOOK


def duration(seconds: float) -> str:
    """A duration as Prometheus writes it, in the largest unit in which it is whole; to a millisecond.

    Raises:
        ValueError: It is under half a millisecond but not 0.
    """
    thousandths = round(seconds * 1_000)
    if thousandths == 0 and seconds:
        raise ValueError(f"a duration must be at least a millisecond, {seconds} s is none; take a lower speed")
    for unit_s, letter in _UNITS:
        if thousandths and thousandths % (unit_s * 1_000) == 0:
            return f"{thousandths // int(unit_s * 1_000)}{letter}"
    return f"{thousandths}ms" if thousandths else "0s"
