"""Drift of the last window against the training and the same weeks of earlier years."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from forecasting.config.monitoring import MonitoringConfig
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.store.forecasts import ForecastFlag
from serving.monitor.drift import YEAR_S, measure_model
from serving.monitor.monitor import Monitor
from serving.monitor.watched_model import watched_model
from tests.unit.serving.monitor.watched import CUTOFF, DAY, HOUR, MODEL, START, answer, observe, publish, table
from tests.unit.serving.tiny_models import SPEC as TINY

WEEK = 7 * DAY


def _measure(store, repository, end=CUTOFF + WEEK):
    return measure_model(store, watched_model(repository, MODEL), end=end, window_s=WEEK)


def test_more_of_the_same_is_no_drift_and_a_shift_is(store, repository):
    hours = np.tile(np.arange(24.0), 7)
    observe(store, CUTOFF, *hours)
    observe(store, CUTOFF, *(10 * hours + 200), name="load")
    found = _measure(store, repository).columns
    assert found[TINY.target].drift["training"].psi < 0.01
    assert found["load"].drift["training"].psi > 1
    trained = np.tile(np.arange(24.0), 15) * 10
    assert found["load"].drift["training"].ks == pytest.approx(ks_2samp(trained, 10 * hours + 200).statistic, abs=0.002)


def test_what_is_missing_of_the_window_is_told_by_column(store, repository):
    observe(store, CUTOFF, *np.arange(84.0))
    observe(store, CUTOFF, *np.arange(168.0), series="b")
    found = _measure(store, repository).columns
    assert (found[TINY.target].missing_ratio, found[TINY.target].n) == (0.25, 252)
    assert (found["load"].missing_ratio, found["load"].n) == (1.0, 0)
    assert found["load"].drift == {}


def test_the_window_reaches_into_the_table_where_observations_are_few(store, repository):
    observe(store, CUTOFF, *np.tile(np.arange(24.0), 2))
    found = _measure(store, repository, end=CUTOFF + 2 * DAY).columns[TINY.target]
    assert found.n == 2 * 168 - 48
    assert found.drift["training"].psi < 0.05


def test_a_season_that_differs_from_the_rest_of_the_year_is_no_drift_against_itself(store, tmp_path):
    repository, n_steps = ModelRepository(tmp_path / "models"), 400 * 24
    hours = np.arange(n_steps)
    is_winter = (hours // 24 >= 3) & (hours // 24 < 20)
    target = np.where(is_winter, 50.0, 10.0) + hours % 24
    cutoff = START + n_steps * HOUR
    split = SplitSpec(cutoff - 40 * DAY, cutoff - 30 * DAY, cutoff)
    spec = SeriesSpec(TINY.target, ("load",), (), (), {}, HOUR, split)
    values = np.column_stack([target, target])
    repository.promote(MODEL, publish(repository, tmp_path, SeriesStore(spec, (Series("a", START, values),))))
    end = START + YEAR_S // HOUR * HOUR + 12 * DAY
    observe(store, end - WEEK, *(50.0 + np.tile(np.arange(24.0), 7)), known_at=cutoff + 1)
    found = _measure(store, repository, end=end)
    assert found.columns[TINY.target].drift["training"].psi > 1
    assert found.columns[TINY.target].drift["season"].psi < 0.05


def test_without_a_year_of_history_there_is_no_season_to_compare_with(store, repository):
    observe(store, CUTOFF, *np.arange(24.0))
    assert set(_measure(store, repository).columns[TINY.target].drift) == {"training"}


def test_forecasts_that_leave_the_range_of_the_training_drift_and_those_of_the_fallback_do_not_count(store, repository):
    for day in range(3):
        answer(store, CUTOFF + day * DAY, [3, 12, 20], request=f"usual-{day}")
        answer(store, CUTOFF + day * DAY, 900, request=f"fallback-{day}", flags=ForecastFlag.DEGRADED)
    usual = _measure(store, repository).predictions["training"].psi
    for day in range(30):
        answer(store, CUTOFF + day * HOUR, 900, request=f"far-{day}")
    assert _measure(store, repository).predictions["training"].psi > usual + 3


def test_the_page_shows_drift_by_column_and_reference(store, make_monitor):
    observe(store, CUTOFF, *np.arange(24.0))
    monitor = make_monitor(drift_window="7d")
    report = monitor.round().drift
    names = {(metric.name, *sample.labels.values()) for metric in monitor.page.collect() for sample in metric.samples}
    assert ("forecast_feature_drift_psi", MODEL, TINY.target, "training") in names
    assert ("forecast_feature_drift_ks", MODEL, "load", "training") in names
    assert ("forecast_feature_missing_ratio", MODEL, "load") in names
    assert ("forecast_drift_last_run_timestamp_seconds", MODEL) in names
    assert report.end == CUTOFF + DAY


def test_drift_is_measured_again_when_its_interval_is_over_or_another_version_is_champion(
    store, repository, make_monitor, tmp_path
):
    observe(store, CUTOFF, *np.arange(24.0))
    now = CUTOFF + 10 * DAY
    monitor = make_monitor(now=now)
    first = monitor.round().drift
    observe(store, CUTOFF + DAY, *np.arange(24.0))
    assert monitor.round().drift is first
    repository.promote(MODEL, publish(repository, tmp_path, table()))
    assert monitor.round().drift.version == 2


@pytest.mark.parametrize("jump_s", [HOUR, DAY])
def test_a_clock_that_is_set_back_keeps_no_drift_from_being_measured(store, repository, jump_s):
    observe(store, CUTOFF, *np.arange(24.0))
    now = [CUTOFF + 10 * DAY + jump_s]
    settings = MonitoringConfig(horizon_buckets=(1,))
    monitor = Monitor(store, repository, MODEL, settings, clock=lambda: now[0])
    first = monitor.round().drift
    now[0] -= jump_s
    assert monitor.round().drift is not first


def _damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_series_that_cannot_be_read_any_more_fail_the_round_for_drift_and_scores_go_on(store, repository):
    answer(store, CUTOFF, [5, 5, 5])
    observe(store, CUTOFF, 4)
    # An hour goes by at each look at the clock, so that drift is due in each round.
    clock = iter(range(CUTOFF + 10 * DAY, CUTOFF + 12 * DAY, HOUR)).__next__
    monitor = Monitor(store, repository, MODEL, MonitoringConfig(horizon_buckets=(1,)), clock=clock)
    assert monitor.round().problem == ""
    path = repository.series_dir(MODEL, 1) / "series.parquet"
    path.chmod(0o644)
    _damage(path)
    observe(store, CUTOFF + HOUR, 4)
    found = monitor.round()
    assert found.accuracy.n_new == 1
    assert found.problem.startswith("drift could not be measured")
    assert str(path) in found.problem
    rounds = {(*one.labels.values(),): one.value for metric in monitor.page.collect() for one in metric.samples
              if one.name == "forecast_monitor_rounds_total"}  # fmt: skip
    assert rounds == {(MODEL, "done"): 1, (MODEL, "failed"): 1}


@pytest.mark.parametrize("name", ["series.parquet", "index.parquet"])
def test_a_monitor_that_never_read_the_series_goes_on_and_names_the_file(store, repository, make_monitor, name):
    path = repository.series_dir(MODEL, 1) / name
    path.chmod(0o644)
    _damage(path)
    found = make_monitor().round()
    assert found.accuracy is None
    assert str(path) in found.problem
