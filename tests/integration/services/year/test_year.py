"""A year in fast time, by the real gateway, monitor, rules, Alertmanager, worker and pipeline; and the same year without the change."""

import os
from pathlib import Path

import pytest

from tests.integration.services.year.demand import TABLE
from tests.integration.services.year.living import DAY_S
from tests.integration.services.year.picture import asking, draw_years
from tests.integration.services.year.two_years import BEGIN, CHANGE, END, TwoYearsRecord, live_two_years, promotions

pytestmark = [
    pytest.mark.year,
    pytest.mark.timeout(7_200),
    pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/data/vic_electricity.csv"),
]


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> TwoYearsRecord:
    return live_two_years(tmp_path_factory.mktemp("years") / "lived")


def test_nothing_fires_or_asks_in_a_year_without_a_change(years):
    assert years.control.alerts == []
    assert years.control.requests == []
    assert years.control.n_evaluations > 100_000


def test_nothing_fires_or_asks_before_the_load_moves(years):
    assert [one for one in years.shifted.alerts if one["begin"] < CHANGE] == []
    assert [one for one in years.shifted.requests if one["created_at"] < CHANGE] == []


def test_the_accuracy_alert_fires_within_a_week_of_the_change(years):
    fired = [one["begin"] for one in asking(years.shifted) if one["alertname"] == "ForecastAccuracyDegraded"]
    assert CHANGE < min(fired) < CHANGE + 7 * DAY_S


def test_alerts_alone_ask_for_runs_until_a_candidate_is_promoted(years):
    assert {one["source"] for one in years.shifted.requests} == {"alert"}
    assert promotions(years.shifted)


def test_the_error_jumps_with_the_change_and_recovers_after_the_last_promotion(years):
    shifted, control, promoted = years.shifted, years.control, promotions(years.shifted)[-1]
    assert shifted.wape(CHANGE, CHANGE + 7 * DAY_S) > 1.8 * shifted.wape(CHANGE - 56 * DAY_S, CHANGE)
    # Against the year without the change on the same days, as the error has seasons.
    assert shifted.wape(promoted + DAY_S, END) < 1.2 * control.wape(promoted + DAY_S, END)


def test_both_years_have_a_forecast_every_three_hours(years):
    assert years.shifted.n_forecasts == years.control.n_forecasts == (END - BEGIN) // (3 * 3_600)


def test_the_picture_of_both_is_drawn(years, tmp_path: Path):
    """With $ALMANAC_PICTURES the picture of the document is made."""
    target = Path(os.environ.get("ALMANAC_PICTURES", str(tmp_path))) / "year.png"
    draw_years(years.shifted, years.control, years.change, target)
    assert target.read_bytes().startswith(b"\x89PNG")
