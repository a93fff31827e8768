"""A year in fast time, by the real gateway, monitor, rules, Alertmanager, worker and pipeline; and the same year without the change."""

from pathlib import Path

import pytest

from tests.integration.services.year.demand import TABLE
from tests.integration.services.year.living import DAY_S
from tests.integration.services.year.picture import asking, draw_years
from tests.integration.services.year.two_years import BEGIN, CHANGE, END, live_two_years, promotions

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(7_200),
    pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/data/vic_electricity.csv"),
]


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    return live_two_years(tmp_path_factory.mktemp("years") / "lived")


def test_nothing_asks_for_a_retrain_before_the_load_moves_nor_in_the_year_without_it(years):
    assert [one for one in asking(years.shifted) if one["begin"] < CHANGE] == []
    assert asking(years.control) == []
    assert years.control.requests == []
    assert years.control.n_evaluations > 100_000


def test_the_accuracy_alert_fires_within_a_week_of_the_change(years):
    fired = [one for one in asking(years.shifted) if one["alertname"] == "ForecastAccuracyDegraded"]
    assert CHANGE < fired[0]["begin"] < CHANGE + 7 * DAY_S


def test_the_alert_brings_a_run_whose_candidate_is_promoted(years):
    assert promotions(years.shifted)
    assert all(one["source"] == "alert" for one in years.shifted.requests)


def test_the_error_recovers_after_the_last_promotion(years):
    promoted = promotions(years.shifted)[-1]
    before = years.shifted.wape(CHANGE - 56 * DAY_S, CHANGE)
    assert years.shifted.wape(CHANGE, CHANGE + 7 * DAY_S) > 1.8 * before
    # Against the year without the change on the same days, as the error has seasons.
    assert years.shifted.wape(promoted + DAY_S, END) < 1.15 * years.control.wape(promoted + DAY_S, END)


def test_both_years_have_a_forecast_every_three_hours(years):
    assert years.shifted.n_forecasts == years.control.n_forecasts == (END - BEGIN) // (3 * 3_600)


def test_the_picture_is_drawn(years, tmp_path: Path):
    draw_years(years.shifted, years.control, years.change, tmp_path / "year.png")
    assert (tmp_path / "year.png").read_bytes().startswith(b"\x89PNG")
