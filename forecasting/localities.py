"""Time zones and public holidays by their names: one place that knows which names exist."""

import re
from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forecasting.errors import ConfigError

_ZONE_NAME = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+){0,3}")
"""Without it a name such as ../x would be looked for outside of the zone database, and each part as a package of Python."""


def time_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        if _ZONE_NAME.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        # OSError: the name is that of a folder, or longer than a file's may be.
        pass
    raise ConfigError(f"a time zone must be an IANA name such as UTC or Australia/Melbourne; found {name!r}")


def holiday_region(name: str) -> str:
    """The name of a holiday region, if there is one of this name.

    Raises:
        ConfigError: There is none.
    """
    public_holidays(name, range(0))
    return name


def holiday_regions() -> Mapping[str, tuple[str, ...]]:
    """Countries whose public holidays are known, each with its subdivisions."""
    # Imported here: a tenth of a second that only those with holidays pay.
    import holidays

    return {name: tuple(parts) for name, parts in holidays.list_supported_countries(include_aliases=False).items()}


def public_holidays(region: str, years: range) -> Mapping[date, str]:
    """Public holidays of some years.

    Args:
        region: Country, or country and subdivision as in `AU-VIC`.
        years: Years to cover.

    Raises:
        ConfigError: The region is unknown.
    """
    return _holidays(region, years, "public")


def school_holidays(region: str, years: range) -> Mapping[date, str]:
    """School holidays of some years, of the few regions for which they are known.

    Raises:
        ConfigError: The region, or its school holidays, are unknown.
    """
    found = _holidays(region, years, "school")
    if not found:
        raise ConfigError(
            f"school holidays must be known for the region, and those of {region!r} are not; leave is_school_holiday out"
        )
    return found


def _holidays(region: str, years: range, category: str) -> Mapping[date, str]:
    # Imported here: a tenth of a second that only those with holidays pay.
    import holidays

    country, dash, subdivision = region.partition("-")
    try:
        if country in holidays.list_supported_countries(include_aliases=True) and bool(dash) == bool(subdivision):
            if category not in getattr(holidays, country).supported_categories:
                return {}
            found: Mapping[date, str] = holidays.country_holidays(
                country, subdiv=subdivision or None, years=years, categories=(category,)
            )
            return found
    except NotImplementedError:
        pass
    raise ConfigError(
        f"a holiday region must be a country, or country and subdivision, such as AU or AU-VIC; found {region!r}"
    )
