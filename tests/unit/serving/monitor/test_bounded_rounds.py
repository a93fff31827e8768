"""A round looks at what changed since the last one, and comes to what looking at everything comes to."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forecasting.config.monitoring import MonitoringConfig
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole, write_forecasts
from forecasting.store.live_scores import read_mark, read_sums
from forecasting.store.opening import open_store
from forecasting.store.retention import KEEP_POSTS_S, prune
from forecasting.store.tables import FORECASTS, OBSERVATION_CHANGES
from serving.monitor.monitor import Monitor
from tests.unit.serving.monitor.test_live_accuracy import KILLED
from tests.unit.serving.monitor.watched import CUTOFF, DAY, HOUR, MODEL, SPEC, answer, observe, publish, table

N_ORIGINS = 20


def _fill(store, n=N_ORIGINS, series=("a", "b")):
    for number in range(n):
        answer(store, CUTOFF + number * HOUR, 5, series=series)


def _total(store, name, part=""):
    return sum(one.total for key, one in read_sums(store, MODEL).items() if (key.name, key.part) == (name, part))


def test_a_new_actual_lets_only_the_forecasts_of_its_step_be_looked_at(store, make_monitor):
    _fill(store)
    monitor = make_monitor()
    for one in ("a", "b"):
        observe(store, CUTOFF, *range(10), series=one)
    assert monitor.round().accuracy.n_forecasts == 2 * 10
    observe(store, CUTOFF + 10 * HOUR, 4)
    found = monitor.round().accuracy
    # Of series a the two origins before that have its step; and at that origin both series, for the first time.
    assert (found.n_forecasts, found.n_new) == (2 + 2, 3)
    observe(store, CUTOFF + 4 * HOUR, 40, series="b", known_at=CUTOFF + 5 * DAY)
    found = monitor.round().accuracy
    assert (found.n_forecasts, found.n_new, found.n_restated) == (3, 0, 3)


def test_a_monitor_that_starts_again_goes_on_where_the_last_one_was(store, make_monitor):
    _fill(store)
    observe(store, CUTOFF, *range(10))
    first = make_monitor()
    first.round()
    first.close()
    observe(store, CUTOFF + 2 * HOUR, 7, known_at=CUTOFF + 5 * DAY)
    found = make_monitor("second").round().accuracy
    assert (found.n_forecasts, found.n_restated) == (3, 3)


def test_a_forecast_that_reaches_the_store_after_its_actuals_is_looked_at_in_the_next_round(store, make_monitor):
    _fill(store, 5)
    observe(store, CUTOFF, *range(10), known_at=CUTOFF + DAY)
    monitor = make_monitor()
    monitor.round()
    assert _total(store, "forecast_scored_points") == 5 * 3
    answer(store, CUTOFF + HOUR, 6, request="spilled")
    found = monitor.round().accuracy
    assert (found.n_forecasts, found.n_new) == (1, 3)
    assert monitor.round().accuracy == found, "nothing came: the report of the last round stands"


def test_a_series_without_actuals_is_looked_at_once(store, make_monitor):
    _fill(store)
    observe(store, CUTOFF, *range(30))
    monitor = make_monitor()
    assert monitor.round().accuracy.n_forecasts == 2 * N_ORIGINS
    observe(store, CUTOFF + 30 * HOUR, 4)
    assert monitor.round().accuracy.n_forecasts == 0


def test_another_table_lets_all_forecasts_be_looked_at(store, make_monitor, repository, tmp_path):
    _fill(store)
    observe(store, CUTOFF, *range(30))
    monitor = make_monitor()
    monitor.round()
    repository.promote(MODEL, publish(repository, tmp_path, table()))
    assert monitor.round().accuracy.n_forecasts == 2 * N_ORIGINS


def test_changes_that_nobody_looked_at_in_time_let_all_forecasts_be_looked_at(store, make_monitor):
    _fill(store, 10)
    observe(store, CUTOFF, *range(10))
    monitor = make_monitor()
    monitor.round()
    observe(store, CUTOFF, 40, known_at=CUTOFF + 5 * DAY)
    keep = {"keep_forecasts_s": None, "keep_observations_s": None}
    assert prune(store, now=CUTOFF + KEEP_POSTS_S + 1, **keep).rows == {"observation_changes": 1}
    found = monitor.round().accuracy
    assert (found.n_forecasts, found.n_restated) == (20, 1)


def test_what_was_looked_at_is_not_kept_in_the_log_of_changes(store, make_monitor):
    observe(store, CUTOFF, *range(10))
    make_monitor().round()
    with store.reading() as connection:
        assert connection.execute(OBSERVATION_CHANGES.select()).all() == []
    assert read_mark(store, MODEL).revision == 1


def test_forecasts_are_in_again_where_the_latest_target_is_withdrawn(store, make_monitor):
    _fill(store, 5)
    observe(store, CUTOFF, 4)
    monitor = make_monitor()
    monitor.round()
    far = CUTOFF + 300 * DAY
    observe(store, far, 4)
    monitor.round()
    observe(store, CUTOFF + HOUR, 4, known_at=CUTOFF + DAY)
    assert monitor.round().accuracy.n_new == 0, "all forecasts are older than monitoring.late allows"
    observe(store, far, float("nan"), known_at=far + 2 * HOUR)
    assert monitor.round().accuracy.n_new == 2


def test_a_forecast_with_a_longer_horizon_than_the_champions_is_found_by_its_last_step(store, make_monitor):
    record = ForecastBatchRecord(
        request="long", created_at=CUTOFF, role=ForecastRole.CHAMPION, model=MODEL, version=7, series=("a",),
        origins=np.array([CUTOFF]), step_s=HOUR, n_steps=48, levels=SPEC.quantiles,
        answers=np.full((1, 48, len(SPEC.quantiles)), 5, np.float32),
    )  # fmt: skip
    write_forecasts(store, [record])
    observe(store, CUTOFF, 4)
    monitor = make_monitor()
    monitor.round()
    observe(store, CUTOFF + 47 * HOUR, 4)
    assert monitor.round().accuracy.n_new == 1


@pytest.mark.parametrize("n_commits", [2, 3])
def test_a_later_round_that_is_killed_is_made_up_for_by_the_next_one(store, make_monitor, tmp_path, n_commits):
    _fill(store, 10, series=("a",))
    observe(store, CUTOFF, *range(6))
    first = make_monitor()
    first.round()
    first.close()
    observe(store, CUTOFF + 6 * HOUR, *range(6, 12))
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(n_commits), str(CUTOFF + 10 * DAY)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[4])
    assert result.returncode == -9, result.stderr
    make_monitor("next", now=CUTOFF + 10 * DAY + 121).round()
    assert _total(store, "forecast_scored_points") == 30
    assert _total(store, "forecast_absolute_error") == sum(abs(5 - o - step) for o in range(10) for step in range(3))


@pytest.mark.parametrize("seed", range(6))
def test_rounds_between_random_posts_come_to_what_one_look_at_everything_comes_to(
    store, make_monitor, repository, tmp_path, seed
):
    rng = np.random.default_rng(seed)
    monitor = make_monitor()
    names = ("forecast_scored_points", "forecast_absolute_error", "forecast_over_error", "forecast_squared_error")
    with open_store(store_address(None, tmp_path / "other.db")) as other:
        for turn in range(40):
            hour, one = CUTOFF + HOUR * int(rng.integers(0, 40)), "ab"[int(rng.integers(2))]
            if rng.random() < 0.4:
                for each in (store, other):
                    answer(each, hour, 5 + turn % 3, series=(one,), request=f"r{turn}")
            else:
                n_values = int(rng.integers(1, 6))
                values = np.where(rng.random(n_values) < 0.2, np.nan, rng.integers(0, 20, n_values))
                for each in (store, other):
                    observe(each, hour, *values.tolist(), series=one, known_at=CUTOFF + 3 * DAY + turn)
            if rng.random() < 0.5:
                monitor.round()
        monitor.round()
        settings = MonitoringConfig(horizon_buckets=(1,))
        whole = Monitor(other, repository, MODEL, settings, clock=lambda: CUTOFF + 10.0 * DAY, owner="whole")
        whole.round(everything=True)
        found = {name: _total(store, name) for name in names}
        assert found == {name: pytest.approx(_total(other, name), abs=1e-6) for name in names}
        assert found["forecast_scored_points"] > 0


def test_those_never_looked_at_are_found_by_their_own_index(store):
    conditions = (FORECASTS.c.model == MODEL, FORECASTS.c.answers.is_not(None), FORECASTS.c.scored.is_(None))
    wanted = FORECASTS.select().where(*conditions, FORECASTS.c.origin >= 0, FORECASTS.c.origin <= CUTOFF)
    with store.reading() as connection:
        text = str(wanted.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    assert "forecasts_not_looked_at" in plan
