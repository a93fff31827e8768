"""The region of which a column has the public holidays."""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecasting.localities import holiday_regions, public_holidays
from pipelines.initial.holiday_region import guess_region
from tests.unit.pipelines.initial.tables import look_of, wave
from tests.unit.pipelines.initial.test_init import config_of, load, stamps, write

YEARS = range(2022, 2024)
HOURS = [datetime(2022, 1, 1) + timedelta(hours=i) for i in range(730 * 24)]  # noqa: DTZ001
SECONDS = 1_640_995_200 + 3_600 * np.arange(730 * 24)


def guess(marks: list[str], name: str = "holiday"):
    return guess_region(look_of(time=[one.isoformat() for one in HOURS], y=wave(len(HOURS)), **{name: marks}), SECONDS)


def flags(days: set[date]) -> list[str]:
    return [str(int(one.date() in days)) for one in HOURS]


def test_regions_are_listed_with_their_parts():
    assert "VIC" in holiday_regions()["AU"]


@pytest.mark.parametrize("region", ["US", "AU-VIC", "DE-BY"])
def test_flags_on_the_holidays_of_a_region_name_it(region: str):
    days = set(public_holidays(region, YEARS))
    found = guess(flags(days))
    # Neighbouring parts of a country may have the same days.
    assert (found.column, found.likeness, found.region[:2]) == ("holiday", 1.0, region[:2])
    assert set(public_holidays(found.region, YEARS)) == days


def test_names_at_midnight_mark_the_whole_day():
    names = public_holidays("US", YEARS)
    marks = [names.get(one.date(), "None") if one.hour == 0 else "None" for one in HOURS]
    assert guess(marks).region == "US"


def test_flags_on_a_clock_that_is_half_a_day_off_are_of_the_day_that_has_most_of_them():
    days = set(public_holidays("AU-VIC", YEARS))
    assert guess([str(int((one + timedelta(hours=10)).date() in days)) for one in HOURS]).region.startswith("AU")


def test_other_days_and_other_names_are_of_no_region():
    days = set(public_holidays("US", YEARS))
    assert guess(flags({day + timedelta(days=3) for day in days})) is None
    assert guess(flags(days), name="promo") is None
    assert guess(flags(set(sorted(days)[:3]))) is None


def test_holidays_that_are_only_named_become_features_that_are_known_ahead(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    n = 730 * 24
    names = public_holidays("US", range(2023, 2025))
    first = datetime(2023, 1, 1)  # noqa: DTZ001
    marks = [names.get((first + timedelta(hours=i)).date(), "") if i % 24 == 0 else "" for i in range(n)]
    config = config_of(write(Path("t.csv"), {"time": stamps(n, 60), "holiday": marks, "load": load(n, 24)}))
    assert (config.features.holidays, config.data.known) == ("US", ())
    assert {"is_day_off", "is_day_off_tomorrow"} <= set(config.features.calendar)
    assert "check features.holidays: public holidays, known ahead: those of US are 100% like" in capsys.readouterr().err
    Path("made.yaml").unlink()
    flagged = [str(int(bool(names.get((first + timedelta(hours=i)).date())))) for i in range(n)]
    config = config_of(write(Path("t.csv"), {"time": stamps(n, 60), "holiday": flagged, "load": load(n, 24)}))
    assert (config.features.holidays, config.data.known) == (None, ("holiday",))
    assert "# holidays: US" in Path("made.yaml").read_text()
