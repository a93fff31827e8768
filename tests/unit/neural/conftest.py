"""A tiny feature store and network settings; TensorFlow is imported once a worker."""

import numpy as np
import pytest

from components.features.build_features import plane_index
from forecasting.config.models import SegmentLstmConfig
from forecasting.config.training import TrainingConfig
from forecasting.feature_store import FeatureStore, window_index
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import feature_planes

SPLIT = SplitSpec(train_end=START + 500 * HOUR_S, validation_end=START + 600 * HOUR_S, cutoff=START + 700 * HOUR_S)
SMALL = SegmentLstmConfig(units=8, head_units=6, step_units=2, dropout=0.1)
SHORT = TrainingConfig(batch_size=32, max_epochs=2, patience=5, warmup_steps=4, learning_rate=1e-2)


def feature_store(spec: FeatureSpec, series: list[Series]) -> FeatureStore:
    store = SeriesStore(
        SeriesSpec(spec.target, spec.observed, spec.known, spec.static, spec.categories, HOUR_S, SPLIT), tuple(series)
    )
    planes = np.concatenate([feature_planes(one, spec) for one in store])
    return FeatureStore(spec, SPLIT, plane_index(store.index, spec.context), planes)


@pytest.fixture(scope="session")
def hourly_store() -> FeatureStore:
    return feature_store(melbourne_spec(700), [gappy_series(700)])


def sales_series() -> list[Series]:
    small = gappy_series(700, seed=3)
    return [Series("a", START, small.values, (0,)), Series("b", START, small.values * [50.0, 1.0, 1.0], (1,))]


@pytest.fixture(scope="session")
def sales_store() -> FeatureStore:
    """Two series of very different size with a static column, scaled by window, bounded at zero."""
    spec = melbourne_spec(
        700, horizon=30, target_scaling="window", lower_bound=0.0, static=("shop",), categories={"shop": ("x", "y")}
    )
    return feature_store(spec, sales_series())


@pytest.fixture(scope="session")
def windows(hourly_store: FeatureStore):
    train = window_index(hourly_store, None, SPLIT.train_end, min_age=24)
    return train, window_index(hourly_store, SPLIT.train_end, SPLIT.validation_end, min_age=24)
