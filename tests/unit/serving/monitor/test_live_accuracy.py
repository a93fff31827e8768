"""Actuals against logged forecasts, in a real SQLite store."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.utils import floatToGoString

from forecasting.config.monitoring import MonitoringConfig
from forecasting.store.forecasts import ForecastFlag, ForecastRole
from forecasting.store.live_scores import read_sums
from serving.monitor import live_accuracy
from serving.monitor.monitor import Monitor
from serving.monitor.summary import live_scores
from tests.unit.serving.monitor.watched import CUTOFF, DAY, HOUR, MODEL, answer, observe, publish, table

ORIGIN = CUTOFF
"""Midnight: the seasonal naive of its first three hours is 0, 1 and 2."""


def _scores(store):
    return {(one.version, one.role, one.horizon): one for one in live_scores(read_sums(store, MODEL))}


def _total(store, name, part="", role="champion"):
    sums = read_sums(store, MODEL)
    return sum(
        one.total for key, one in sums.items() if (key.name, key.part) == (name, part) and key.role in (role, "")
    )


def test_a_forecast_is_scored_step_by_step_as_actuals_come(store, make_monitor):
    answer(store, ORIGIN, [5, 5, 5])
    monitor = make_monitor()
    assert monitor.round().accuracy.n_new == 0
    observe(store, ORIGIN, 4)
    assert monitor.round().accuracy.n_new == 1
    assert monitor.round().accuracy.n_new == 1, "nothing came: the report of the last round stands"
    observe(store, ORIGIN + HOUR, 7, 8)
    assert monitor.round().accuracy.n_new == 2
    found = _scores(store)
    assert (found[1, "champion", "h1"].n_points, found[1, "champion", "h1"].mae) == (1, 1)
    assert (found[1, "champion", "h2_3"].n_points, found[1, "champion", "h2_3"].mae) == (2, 2.5)
    assert found[1, "champion", "h2_3"].wape == pytest.approx(5 / 15)
    assert found[1, "champion", "h2_3"].bias == -2.5
    assert found[1, "champion", "h2_3"].skill == pytest.approx(1 - 5 / 12)
    assert found[1, "champion", "h1"].coverage == {"0.8": 1.0}
    assert found[1, "champion", "h2_3"].coverage == {"0.8": 0.0}


def test_a_monitor_that_starts_again_counts_no_point_twice(store, make_monitor):
    answer(store, ORIGIN, [5, 5, 5], series=("a", "b"))
    observe(store, ORIGIN, 4, 4)
    for _ in range(3):
        monitor = make_monitor()
        monitor.round()
        monitor.close()
    observe(store, ORIGIN, 4, series="b")
    make_monitor().round()
    assert _total(store, "forecast_scored_points") == 3


def test_a_restated_actual_is_scored_again_and_a_withdrawn_one_no_more(store, make_monitor):
    answer(store, ORIGIN, [5, 5, 5])
    monitor = make_monitor()
    observe(store, ORIGIN, 9, 9)
    monitor.round()
    observe(store, ORIGIN, 6, float("nan"), known_at=CUTOFF + DAY)
    assert monitor.round().accuracy.n_restated == 1
    assert _total(store, "forecast_scored_points") == 1
    assert _total(store, "forecast_absolute_error") == 1
    assert _total(store, "forecast_actuals_restated") == 1
    assert _total(store, "forecast_actuals_rejected", "withdrawn") == 1
    assert 'forecast_absolute_error_total{horizon="h1",model="tiny",role="champion",version="1"} 4.0' in _page(monitor)


def test_champion_candidate_shadow_and_fallback_are_scored_apart_by_version(store, make_monitor):
    answer(store, ORIGIN, 5)
    answer(store, ORIGIN, 6, request="c", role=ForecastRole.CANDIDATE, version=2)
    answer(store, ORIGIN, 7, role=ForecastRole.SHADOW, version=2)
    answer(store, ORIGIN, 8, request="f", flags=ForecastFlag.DEGRADED)
    observe(store, ORIGIN, 4)
    make_monitor().round()
    found = {key[:2]: one.mae for key, one in _scores(store).items()}
    assert found == {(1, "champion"): 1, (2, "candidate"): 2, (2, "shadow"): 3, (1, "fallback"): 4}


def test_actuals_that_come_through_the_pipeline_score_too(store, make_monitor, repository, tmp_path):
    origin = CUTOFF - 5 * HOUR
    answer(store, origin, 5, created_at=CUTOFF - 4 * HOUR)
    make_monitor().round()
    assert _total(store, "forecast_absolute_error") == (20 - 5) + (19 - 5) + (21 - 5)
    answer(store, origin, 5, created_at=CUTOFF + 1, request="later")
    repository.promote(MODEL, publish(repository, tmp_path, table()))
    make_monitor().round()
    assert _total(store, "forecast_scored_points") == 3
    assert _total(store, "forecast_actuals_rejected", "early") == 3


def test_what_was_known_before_the_forecast_was_made_does_not_count(store, make_monitor):
    answer(store, ORIGIN, 5, created_at=ORIGIN + HOUR + 1)
    observe(store, ORIGIN, 4, 4)
    monitor = make_monitor()
    monitor.round()
    assert _total(store, "forecast_scored_points") == 1
    assert _total(store, "forecast_actuals_rejected", "early") == 1


def test_an_actual_weeks_late_is_scored_by_a_backfill_and_not_by_a_round(store, make_monitor):
    answer(store, ORIGIN, 5)
    observe(store, ORIGIN + 30 * DAY, 1)
    observe(store, ORIGIN, 4, known_at=CUTOFF + 31 * DAY)
    monitor = make_monitor(now=CUTOFF + 40 * DAY)
    monitor.round()
    assert _total(store, "forecast_scored_points") == 0
    monitor.round(everything=True)
    monitor.round(everything=True)
    assert _total(store, "forecast_scored_points") == 1


def test_only_the_monitor_with_the_lease_scores_and_the_other_one_takes_over(store, make_monitor):
    answer(store, ORIGIN, 5)
    observe(store, ORIGIN, 4)
    first, second = make_monitor("first"), make_monitor("second")
    assert first.round().owner is None
    assert second.round().owner == "first"
    assert 'forecast_monitor_active{model="tiny"} 0.0' in _page(second)
    observe(store, ORIGIN + HOUR, 4)
    late = make_monitor("second", now=CUTOFF + 10 * DAY + 121)
    assert late.round().accuracy.n_new == 1
    assert first.round().owner == "second"
    assert _total(store, "forecast_scored_points") == 2


def test_a_monitor_that_lost_its_lease_shows_no_old_gauges_and_its_sums_stay(store, make_monitor):
    answer(store, ORIGIN, 5)
    observe(store, ORIGIN, 4)
    first = make_monitor("first")
    first.round()
    gauges = ("forecast_feature_drift_psi{", "forecast_backtest_wape{", "forecast_retrain_requests{")
    assert all(name in _page(first) for name in gauges)
    other = make_monitor("second", now=CUTOFF + 10 * DAY + 121)
    other.round()
    assert first.round().owner == "second"
    assert not any(name in _page(first) for name in gauges)
    line = 'forecast_scored_points_total{horizon="h1",model="tiny",role="champion",version="1"} 1.0'
    assert line in _page(first)
    other.close()
    assert first.round().owner is None
    assert all(name in _page(first) for name in gauges)


@pytest.mark.parametrize("is_scored", [False, True])
def test_a_round_longer_than_the_lease_keeps_it_also_with_nothing_to_write(
    store, repository, make_monitor, monkeypatch, is_scored
):
    monkeypatch.setattr(live_accuracy, "AT_ONCE", 1)
    for number in range(10):
        answer(store, ORIGIN + number * HOUR, 5)
    observe(store, ORIGIN, *range(4, 16))
    begun = CUTOFF + 10 * DAY
    if is_scored:
        earlier = make_monitor()
        earlier.round()
        earlier.close()
    # A minute goes by at each look at the clock, and the lease is of two.
    clock = iter(range(begun, begun + DAY, 60)).__next__
    monitor = Monitor(store, repository, MODEL, MonitoringConfig(lease="2min"), clock=clock, owner="long")
    assert monitor.round(everything=True).accuracy.n_forecasts == 10
    assert make_monitor("next", now=begun + 10 * 60 + 60).round().owner == "long"


def test_counters_begin_at_zero_and_go_on_where_they_were(store, make_monitor):
    monitor = make_monitor()
    observe(store, CUTOFF, 1, series="b")
    monitor.round()
    line = 'forecast_scored_points_total{horizon="h1",model="tiny",role="champion",version="1"}'
    assert f"{line} 0.0" in _page(monitor)
    answer(store, ORIGIN, 5)
    observe(store, ORIGIN, 4)
    monitor.round()
    assert f"{line} 1.0" in _page(monitor)
    monitor.close()
    again = make_monitor("second")
    again.round()
    assert f"{line} 1.0" in _page(again)
    assert 'forecast_monitor_active{model="tiny"} 1.0' in _page(again)


def test_the_page_shows_the_backtest_the_delays_and_the_latest_times(store, make_monitor):
    answer(store, ORIGIN, 5)
    observe(store, ORIGIN, 4, known_at=ORIGIN + 2 * HOUR)
    monitor = make_monitor()
    monitor.round()
    page = _page(monitor)
    assert 'forecast_backtest_wape{horizon="h1",model="tiny",role="champion",version="1"} 0.1' in page
    assert 'forecast_backtest_wape{horizon="h2_3",model="tiny",role="champion",version="1"} 0.25' in page
    assert 'forecast_actual_delay_seconds_bucket{le="900",model="tiny"} 0.0' in page
    assert 'forecast_actual_delay_seconds_bucket{le="3600",model="tiny"} 1.0' in page
    assert 'forecast_actual_delay_seconds_sum{model="tiny"} 3600.0' in page
    assert f'forecast_data_last_timestamp_seconds{{model="tiny",source="observations"}} {_number(ORIGIN)}' in page
    assert f'forecast_data_last_timestamp_seconds{{model="tiny",source="table"}} {_number(CUTOFF - HOUR)}' in page
    assert 'forecast_data_step_seconds{model="tiny"} 3600.0' in page
    assert f'forecast_last_scored_timestamp_seconds{{model="tiny"}} {_number(ORIGIN)}' in page
    assert 'forecast_retrain_requests{model="tiny",state="waiting"} 0.0' in page


def test_before_any_actual_the_last_score_is_as_old_as_the_first_forecast(store, make_monitor):
    name, monitor = "forecast_last_scored_timestamp_seconds{", make_monitor()
    monitor.round()
    assert name not in _page(monitor), "nothing waits for an actual"
    answer(store, ORIGIN + HOUR, 5, request="later")
    answer(store, ORIGIN, 5)
    monitor.round()
    assert f'{name}model="tiny"}} {_number(ORIGIN)}' in _page(monitor)
    observe(store, ORIGIN + 2 * HOUR, 4)
    monitor.round()
    assert f'{name}model="tiny"}} {_number(ORIGIN + 2 * HOUR)}' in _page(monitor)


def test_without_a_champion_the_monitor_waits(store, tmp_path, make_monitor, repository):
    (tmp_path / "models" / MODEL / "roles.json").unlink()
    assert make_monitor().round().accuracy is None


def test_a_monitor_that_fails_from_its_beginning_shows_when_that_was(store, repository, tmp_path):
    now = [float(CUTOFF + 10 * DAY)]
    monitor = Monitor(store, repository, MODEL, MonitoringConfig(horizon_buckets=(1,)), clock=lambda: now[0])
    name = 'forecast_monitor_last_round_timestamp_seconds{model="tiny"}'
    assert name not in _page(monitor)
    roles = tmp_path / "models" / MODEL / "roles.json"
    whole = roles.read_text()
    roles.write_text("{")
    for _ in range(2):
        assert monitor.round().problem
        assert f"{name} {_number(CUTOFF + 10 * DAY)}" in _page(monitor)
        now[0] += HOUR
    assert 'forecast_monitor_active{model="tiny"} 1.0' in _page(monitor)
    roles.write_text(whole)
    assert not monitor.round().problem
    roles.write_text("{")
    now[0] += HOUR
    assert monitor.round().problem
    assert f"{name} {_number(CUTOFF + 10 * DAY + 2 * HOUR)}" in _page(monitor)


def test_a_monitor_that_waits_shows_no_last_round(make_monitor):
    first, second = make_monitor("first"), make_monitor("second")
    first.round()
    assert second.round().owner == "first"
    assert "forecast_monitor_last_round_timestamp_seconds{" not in _page(second)


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from forecasting.config.monitoring import MonitoringConfig
from forecasting.repository import ModelRepository
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from serving.monitor import live_accuracy
from serving.monitor.monitor import Monitor

folder, n_commits = Path(sys.argv[1]), int(sys.argv[2])
live_accuracy.AT_ONCE = 4
store = open_store(store_address(None, folder / "serving.db"))
seen = []

@event.listens_for(store._engine, "commit")
def die(connection):
    if connection.get_execution_options().get("writes"):
        seen.append(1)
        if len(seen) == n_commits:
            os.kill(os.getpid(), signal.SIGKILL)

settings = MonitoringConfig(horizon_buckets=(1,), lease="2min")
Monitor(store, ModelRepository(folder / "models"), "tiny", settings, clock=lambda: float(sys.argv[3]), owner="killed").round()
"""


@pytest.mark.parametrize("n_commits", [2, 3])
def test_a_monitor_killed_between_score_and_commit_counts_no_point_twice_and_loses_none(
    store, make_monitor, tmp_path, n_commits
):
    for number in range(10):
        answer(store, ORIGIN + number * HOUR, 5)
    observe(store, ORIGIN, *range(4, 16))
    # The first commit is that of the lease; the others have four forecasts each.
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(n_commits), str(CUTOFF + 10 * DAY)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[4])
    assert result.returncode == -9, result.stderr
    assert _total(store, "forecast_scored_points") == 12 * (n_commits - 2)
    make_monitor("next", now=CUTOFF + 10 * DAY + 121).round()
    errors = [abs(5 - (4 + number + step)) for number in range(10) for step in range(3)]
    assert _total(store, "forecast_scored_points") == 30
    assert _total(store, "forecast_absolute_error") == sum(errors)


def _number(value):
    return floatToGoString(value)


def _page(monitor):
    return generate_latest(monitor.page.registry()).decode()
