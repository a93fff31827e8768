import numpy as np
import pytest

from components.deployment.golden import read_golden, write_golden
from components.deployment.measures import difference_ratio, measure_latency
from components.deployment.probes import pick_series, pick_windows, with_gaps
from forecasting.errors import ArtifactError
from forecasting.series_store import read_series_store
from tests.unit.serving import tiny_models

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def store(parents):
    return read_series_store(parents["validate_data"])


def test_windows_spread_over_series_and_reach_back_one_horizon_a_round(store):
    windows = pick_windows(store, tiny_models.SPEC, 4)
    assert len(windows) == 4
    levels = np.nanmean(windows.history[..., 0], axis=1)
    assert (levels > 20).tolist() == [False, True, False, True]
    np.testing.assert_array_equal(windows.history[0, :3, 0], windows.history[2, 3:, 0])


def test_a_store_whose_covariates_are_unknown_has_no_window(store):
    from dataclasses import replace

    blank = tuple(replace(series, values=np.full_like(series.values, np.nan)) for series in store)
    with pytest.raises(ArtifactError, match="no series has a window"):
        pick_windows(replace(store, series=blank), tiny_models.SPEC, 4)


def test_gaps_take_every_seventh_step_of_the_values_and_leave_the_calendar(store):
    window = tiny_models.window()
    gaps = with_gaps(window, tiny_models.SPEC)
    assert np.isnan(gaps.history[0, 0, :2]).all()
    assert np.isfinite(gaps.history[0, 1:]).all()
    assert gaps.history[0, 0, 2] == window.history[0, 0, 2]
    assert np.isfinite(window.history).all()


def test_series_with_complete_actuals_come_first(store):
    origin = store.series[0].start + 39 * 3600
    assert [series.id for series in pick_series(store, tiny_models.SPEC, origin, 3)] == ["a"]


def test_the_difference_is_a_share_of_the_mean_point_forecast():
    first = np.array([[[9.0, 10.0, 11.0]]], np.float32)
    second = first + np.array([0.0, 0.0, 0.5], np.float32)
    assert difference_ratio([first, second, first], LEVELS) == pytest.approx(0.05)
    assert difference_ratio([first, first], LEVELS) == 0.0


def test_an_answer_with_nan_or_of_another_shape_never_holds_a_limit():
    sound = np.ones((1, 1, 3), np.float32)
    assert np.isnan(difference_ratio([sound, sound * np.nan], LEVELS))
    assert np.isnan(difference_ratio([sound, sound[:, :, :2]], LEVELS))


def test_latency_counts_only_the_timed_calls():
    calls = []
    report = measure_latency(lambda: calls.append(1), n_requests=20, n_warmup=3)
    assert len(calls) == 23
    assert report.n_requests == 20
    assert 0 <= report.p50_ms <= report.p99_ms


def test_the_golden_request_is_read_back_and_a_damaged_one_is_refused(tmp_path):
    path, inputs = tmp_path / "golden.npz", tiny_models.window(target=3.0)
    write_golden(path, inputs, np.ones((1, 3, 3), np.float32))
    found, quantiles = read_golden(path)
    np.testing.assert_array_equal(found.history, inputs.history)
    assert found.static is None
    assert quantiles.shape == (1, 3, 3)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtifactError, match="golden request"):
        read_golden(path)


def test_throughput_of_one_request_is_one_over_its_time():
    report = measure_latency(lambda: None, n_requests=1, n_warmup=0)
    assert report.forecasts_per_s == pytest.approx(1e3 / report.p50_ms)
