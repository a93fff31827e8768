from datetime import date

import pytest

from forecasting.errors import ConfigError
from forecasting.localities import holiday_region, public_holidays, time_zone


def test_a_zone_is_found_by_its_iana_name():
    assert time_zone("Australia/Melbourne").key == "Australia/Melbourne"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "Europe", ""])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(ConfigError, match="must be an IANA name such as UTC or Australia/Melbourne; found"):
        time_zone(name)


def test_a_region_has_holidays_that_its_country_has_not():
    melbourne_cup = date(2014, 11, 4)
    assert melbourne_cup in public_holidays("AU-VIC", range(2014, 2015))
    assert melbourne_cup not in public_holidays("AU", range(2014, 2015))


@pytest.mark.parametrize("region", ["XX", "AU-", "AU-XXX", ""])
def test_an_unknown_holiday_region_is_refused(region):
    for look_up in (holiday_region, lambda name: public_holidays(name, range(2014, 2015))):
        with pytest.raises(ConfigError, match="must be a country, or country and subdivision"):
            look_up(region)
