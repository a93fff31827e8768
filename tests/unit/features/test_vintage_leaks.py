"""The leak tests of vintages: what is issued after an origin changes nothing of what a forecast at it is made from."""

from dataclasses import replace

import numpy as np
import pytest

from components.features.build_features import build_features, plane_index
from forecasting.backtest.adapt import adapt_series
from forecasting.backtest.origins import plan_backtest
from forecasting.backtest.score import block_inputs
from forecasting.config.derived import RollingConfig
from forecasting.config.features import FeaturesConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.transform import feature_blocks, vintage_places, window_features
from forecasting.schema import SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, melbourne_spec
from tests.unit.features.whole_planes import feature_planes, horizon_planes
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.forecasting.vintage_tables import issued_series, restated

SPLIT = SplitSpec(train_end=START + 200 * HOUR_S, validation_end=START + 300 * HOUR_S, cutoff=START + 400 * HOUR_S)
STORE_SPEC = SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, SPLIT, vintages=("temperature",))
SPEC = melbourne_spec(vintages=("temperature",))
ORIGINS = START + HOUR_S * np.arange(1, 400)


@pytest.mark.parametrize("nonsense", [np.nan, 1e6])
def test_no_input_changes_when_everything_issued_after_the_origin_is_nonsense(nonsense):
    series = issued_series()
    n_changed = 0
    for origin in ORIGINS.tolist():
        other = restated(series, origin, nonsense)
        before, after = (window_inputs(one, SPEC, np.asarray([origin])) for one in (series, other))
        np.testing.assert_array_equal(before.history, after.history)
        np.testing.assert_array_equal(before.future, after.future)
        n_changed += not np.array_equal(series.values, other.values, equal_nan=True)
    assert n_changed > 300


@pytest.mark.parametrize("nonsense", [np.nan, 1e6])
def test_no_plane_of_an_origin_or_before_it_changes_when_everything_issued_after_it_is_nonsense(nonsense):
    series = issued_series()
    planes, horizons = feature_planes(series, SPEC), horizon_planes(series, SPEC)
    for row in range(0, 400, 7):
        other = restated(series, START + row * HOUR_S, nonsense)
        end = SPEC.context + row + 1
        np.testing.assert_array_equal(feature_planes(other, SPEC)[:end], planes[:end])
        np.testing.assert_array_equal(horizon_planes(other, SPEC)[: row + 1], horizons[: row + 1])
    assert not np.array_equal(horizon_planes(restated(series, START, 1e6), SPEC), horizons)


@pytest.mark.parametrize("nonsense", [np.nan, 1e6])
def test_no_input_of_a_backtest_changes_when_what_was_issued_after_each_origin_is_nonsense(nonsense):
    series = issued_series()
    origins = START + HOUR_S * np.arange(300, 376, 5)
    spec = replace(SPEC, vintages=())
    for model in (SPEC, spec):
        found = block_inputs(
            plan_backtest(SeriesStore(STORE_SPEC, (series,)), origins, horizon=24), model, first=0, end=16
        )
        for k, origin in enumerate(origins.tolist()):
            store = SeriesStore(STORE_SPEC, (restated(series, origin, nonsense),))
            other = block_inputs(plan_backtest(store, origins, horizon=24), model, first=k, end=k + 1)
            np.testing.assert_array_equal(other.future[0], found.future[k])
            np.testing.assert_array_equal(other.history[0], found.history[k])


def test_a_champion_trained_without_vintages_is_scored_on_what_was_known():
    series, origin = issued_series(), np.asarray([START + 300 * HOUR_S])
    champion = replace(SPEC, vintages=(), observed=(), derived=())
    adapted = adapt_series(series, STORE_SPEC, champion)
    assert adapted is not None
    found = window_inputs(adapted, champion, origin).future[0, :, 0]
    np.testing.assert_array_equal(found, series.vintages.known_at(origin, 24, HOUR_S)[0, :, 0].astype(np.float32))


def test_a_later_vintage_is_used_by_a_later_origin_and_not_by_an_earlier_one():
    series = issued_series()
    vintages = series.vintages
    row = int(
        np.flatnonzero((vintages.timestamp == START + 220 * HOUR_S) & (vintages.issued_at > START + 200 * HOUR_S))[0]
    )
    values = vintages.values.copy()
    values[row] = 99.0
    changed = replace(series, vintages=replace(vintages, values=values))
    issued = int(vintages.issued_at[row])
    before, after = (START + (-(-(issued - START) // HOUR_S) + shift) * HOUR_S for shift in (-1, 0))
    at_step = [int((START + 220 * HOUR_S - origin) // HOUR_S) for origin in (before, after)]
    inputs = [window_inputs(changed, SPEC, np.asarray([origin])).future[0, :, 0] for origin in (before, after)]
    assert inputs[0][at_step[0]] != 99.0
    assert inputs[1][at_step[1]] == 99.0
    horizons = horizon_planes(changed, SPEC)
    scaled = np.float32((99.0 - 15.0) / 6.0)
    assert horizons[220 - at_step[0], at_step[0], 0] != scaled
    assert horizons[220 - at_step[1], at_step[1], 0] == scaled


def test_planes_of_every_origin_equal_the_features_of_its_window():
    series = issued_series()
    n_past, places = len(feature_blocks(SPEC).past), list(vintage_places(SPEC))
    planes, horizons = feature_planes(series, SPEC), horizon_planes(series, SPEC)
    for row in range(1, 400 - 24):
        inputs = window_inputs(series, SPEC, np.asarray([START + row * HOUR_S]))
        recent, ahead = window_features(inputs.history, inputs.future, inputs.static, SPEC, NUMPY)
        np.testing.assert_allclose(recent[0], planes[row : row + SPEC.context], atol=2e-6)
        expected = planes[row + SPEC.context :][: SPEC.horizon, n_past:].copy()
        expected[:, places] = horizons[row]
        np.testing.assert_allclose(ahead[0], expected, atol=2e-6)


@pytest.fixture
def built(tmp_path):
    def build(series, name, **features):
        source, output = tmp_path / f"{name}-series", tmp_path / name
        source.mkdir()
        output.mkdir()
        write_series_store(SeriesStore(STORE_SPEC, tuple(series)), source)
        settings = BuildFeaturesSettings(
            name="test",
            forecast=ForecastConfig(context=48, seasons=(24,)),
            features=FeaturesConfig(
                derived=(
                    RollingConfig(column="temperature", windows=(30,)),
                    RollingConfig(column="load", windows=(24,)),
                ),
                **features,
            ),
        )
        home = home_layout(tmp_path)
        build_features(settings, {StepName.VALIDATE_DATA: source}, output, StepContext(home, home.run("r")))
        return read_feature_store(output), output

    return build


def test_the_job_writes_the_horizons_of_each_series_at_its_rows(built):
    first, second = issued_series(seed=1), replace(issued_series(300, seed=2), id="b")
    store, _ = built([first, second], "out")
    assert store.horizon_planes.shape == (48 + 400 + 48 + 300, 24, 5)
    assert (
        store.index.offset.tolist() == plane_index(SeriesStore(STORE_SPEC, (first, second)).index, 48).offset.tolist()
    )
    np.testing.assert_array_equal(store.horizon_planes[48:448], horizon_planes(first, store.spec))
    np.testing.assert_array_equal(store.horizon_planes[496:], horizon_planes(second, store.spec))


def test_chunks_of_any_size_give_the_same_bytes(built):
    series = [issued_series(seed=1), replace(issued_series(300, seed=2), id="b")]
    files = [built(series, f"out{rows}", beam_chunk_rows=rows)[1] for rows in (1 << 19, 90, 37)]
    for name in ("horizon_planes.npy", "planes.npy"):
        whole, *parts = [(folder / name).read_bytes() for folder in files]
        assert [part == whole for part in parts] == [True, True]
