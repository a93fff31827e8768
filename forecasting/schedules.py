"""Schedules in the five fields of cron, in a time zone."""

from datetime import UTC, datetime

from forecasting.errors import ConfigError
from forecasting.localities import time_zone

_MINUTE_S = 60


def check_schedule(expression: str) -> None:
    """Check that an expression is a schedule.

    Raises:
        ConfigError: It is none, or no day ever fits it.
    """
    last_time(expression, "UTC", now=0)


def last_time(expression: str, zone: str, *, now: int) -> int:
    """The latest time of a schedule that has come, epoch seconds.

    Args:
        expression: Minute, hour, day of the month, month, day of the week.
        zone: IANA name. A time that the zone's clock jumps over is that after the jump, one that comes twice is the first.
        now: Epoch seconds.

    Raises:
        ConfigError: The expression is no schedule, or no day ever fits it.
    """
    # Here, so that whoever reads a configuration without a schedule need not have it.
    from cronsim import CronSim, CronSimError

    must = f"a schedule must be minute, hour, day of the month, month and day of the week, such as '0 3 * * 1'; found {expression!r}"
    if len(expression.split()) != 5:
        raise ConfigError(must)
    # Added before it is a local time: the next minute on a wall is another one where clocks are put back.
    following = datetime.fromtimestamp((now // _MINUTE_S + 1) * _MINUTE_S, UTC).astimezone(time_zone(zone))
    try:
        found = next(CronSim(expression, following, reverse=True), None)
    except CronSimError as error:
        raise ConfigError(f"{must}: {error}") from error
    if found is None:
        raise ConfigError(f"{must}, which no day fits")
    return int(found.timestamp())
