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
