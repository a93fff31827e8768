import json

import numpy as np
import pytest

from components.features.build_features import build_features
from forecasting.config.derived import RollingConfig
from forecasting.config.features import FeaturesConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.errors import DataError
from forecasting.feature_store import read_feature_store, window_index
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series
from tests.unit.features.whole_planes import feature_planes
from tests.unit.forecasting.series_stores import write_series_store

SPLIT = SplitSpec(train_end=START + 200 * HOUR_S, validation_end=START + 300 * HOUR_S, cutoff=START + 400 * HOUR_S)


@pytest.fixture
def built(tmp_path):
    def build(series: list[Series], **features: object):
        store = SeriesStore(SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, SPLIT), tuple(series))
        source, output = tmp_path / "series", tmp_path / "features"
        source.mkdir()
        output.mkdir()
        write_series_store(store, source)
        settings = BuildFeaturesSettings(
            name="test",
            forecast=ForecastConfig(context=48, seasons=(24,)),
            features=FeaturesConfig(derived=(RollingConfig(column="load", windows=(24,)),), **features),
        )
        home = home_layout(tmp_path)
        build_features(settings, {StepName.VALIDATE_DATA: source}, output, StepContext(home, home.run("r")))
        return read_feature_store(output), output

    return build


def test_scaler_sees_the_train_cut_only(built):
    series = gappy_series()
    spoiled = series.values.copy()
    spoiled[200:, :] = 1e6
    store, _ = built([Series("a", START, spoiled)])
    assert store.spec.scaler.location["load"] == pytest.approx(np.nanmean(series.values[:200, 0]))
    assert store.spec.scaler.scale["load"] == pytest.approx(np.nanstd(series.values[:200, 0]))


def test_planes_of_each_series_lie_at_its_offset(built):
    first, second = gappy_series(400, seed=1), gappy_series(300, seed=2)
    store, _ = built([first, Series("b", START + 100 * HOUR_S, second.values)])
    expected = feature_planes(Series("b", START + 100 * HOUR_S, second.values), store.spec)
    np.testing.assert_array_equal(np.asarray(store.planes[448:]), expected)
    assert store.index.offset.tolist() == [48, 496]


def test_profile_counts_the_train_cut(built):
    _, output = built([gappy_series()])
    profile = json.loads((output / "profile.json").read_text())
    assert sum(profile["load"]["histogram"]) == profile["load"]["count"] < 200


def test_split_never_lets_a_training_window_reach_past_the_train_cut(built):
    store, _ = built([gappy_series()])
    train = window_index(store, None, SPLIT.train_end, min_age=24)
    assert train.row.max() + store.spec.horizon == 48 + 200
    validation = window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24)
    assert (validation.row.min(), validation.row.max() + store.spec.horizon) == (48 + 200, 48 + 300)


def test_robust_scaling_takes_exact_quartiles_over_all_series(built):
    first, second = gappy_series(400, seed=1), gappy_series(300, seed=2)
    store, _ = built(
        [first, Series("b", START, second.values)], scaling={"columns": {"wind": "robust"}}, beam_chunk_rows=90
    )
    wind = np.concatenate([first.values[:200, 1], second.values[:200, 1]]).astype(np.float32)
    low, middle, high = np.nanquantile(wind.astype(np.float64), [0.25, 0.5, 0.75])
    assert store.spec.scaler.location["wind"] == pytest.approx(middle, abs=1e-12)
    assert store.spec.scaler.scale["wind"] == pytest.approx((high - low) / 1.3489795, rel=1e-7)


def test_a_column_scaled_by_its_logarithm_is_standard_there(built):
    store, _ = built([gappy_series()], scaling={"columns": {"wind": "log1p"}}, target_scaling="train")
    wind = np.log1p(gappy_series().values[:200, 1])
    planes = np.asarray(store.planes[48:248, 2])
    assert store.spec.scaler.logarithmic == ("wind",)
    assert planes[~np.isnan(wind)].mean() == pytest.approx(0.0, abs=1e-5)
    assert planes[~np.isnan(wind)].std() == pytest.approx(1.0, abs=1e-5)


def test_each_series_is_scaled_by_itself_where_asked(built):
    large = gappy_series(seed=2).values * [50.0, 1.0, 1.0]
    store, _ = built(
        [gappy_series(seed=1), Series("b", START, large)], scaling={"per_series": ["target"]}, beam_chunk_rows=150
    )
    own = store.spec.scaler.own["load"]
    assert own["b"] == (pytest.approx(np.nanmean(large[:200, 0])), pytest.approx(np.nanstd(large[:200, 0])))
    for offset in store.index.offset:
        present = np.asarray(store.planes[offset : offset + 200])
        scaled = present[present[:, 1] == 1, 0]
        assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))


def test_the_logarithm_of_a_negative_column_is_refused(built):
    series = gappy_series()
    series.values[5, 1] = -3.0
    with pytest.raises(DataError, match="must lie above -1"):
        built([series], scaling={"columns": {"wind": "log1p"}})
