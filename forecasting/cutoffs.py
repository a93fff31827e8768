"""The cutoff of a run as people and schedules write it."""

from datetime import UTC, datetime

from forecasting.errors import ConfigError


def parse_cutoff(text: str, name: str = "the cutoff") -> datetime:
    """Read a cutoff.

    Args:
        text: ISO 8601 time with a zone.
        name: What a message calls it.

    Returns:
        An aware time in UTC, so that one moment has one form however it was written.

    Raises:
        ConfigError: It is no ISO 8601 time, or carries no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{name} must be an ISO 8601 time with a zone, such as 2014-12-01T00:00:00Z; found {text!r}"
        ) from error
    if moment.tzinfo is None:
        raise ConfigError(f"{name} must carry a time zone, such as 2014-12-01T00:00:00Z; found {text!r}")
    return moment.astimezone(UTC)


def scheduled_cutoff(moment: datetime, *, lag_s: int, step_s: int) -> datetime:
    """The cutoff of a run that was due at a moment: what can be known by then, down to a whole step.

    Args:
        moment: When the run was due; not when it began, so that a late or repeated run reads the same.
        lag_s: How long after its time a target is there, seconds.
        step_s: Step of the series, seconds.

    Returns:
        A time in UTC on the grid of the steps, counted from the epoch.
    """
    known = int(moment.timestamp()) - lag_s
    return datetime.fromtimestamp(known - known % step_s, UTC)
