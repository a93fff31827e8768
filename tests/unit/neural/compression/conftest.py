"""A network of some width, as a module and as a float TensorFlow Lite model, and windows to ask it for."""

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.models import SegmentLstmConfig
from forecasting.feature_store import FeatureStore
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from forecasting.windows import ModelInputs, window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series
from tests.unit.neural.conftest import SHORT

WIDE = SegmentLstmConfig(units=32, head_units=48, step_units=4, embedding_units=6, dropout=0.1)


@pytest.fixture(scope="package")
def trained(hourly_store: FeatureStore, windows) -> TrainingLoop:
    loop = TrainingLoop(NetworkSpec(hourly_store.spec, WIDE), SHORT, tf.distribute.get_strategy())
    loop.fit(hourly_store, windows[0], windows[1], checkpoint=None, key="compression")
    return loop


@pytest.fixture(scope="package")
def module(trained: TrainingLoop, hourly_store: FeatureStore) -> ForecastModule:
    return ForecastModule(trained.network, hourly_store.spec, CalibrationSpec((1.1, 1.0, 1.2)))


@pytest.fixture(scope="package")
def calibration(hourly_store: FeatureStore) -> ModelInputs:
    origins = START + HOUR_S * np.arange(200, 500, 5)
    return window_inputs(gappy_series(700), hourly_store.spec, origins)


@pytest.fixture(scope="package")
def unseen(hourly_store: FeatureStore) -> ModelInputs:
    return window_inputs(gappy_series(700), hourly_store.spec, START + HOUR_S * np.arange(500, 660, 4))


@pytest.fixture(scope="package")
def float_lite(module: ForecastModule) -> bytes:
    return convert_to_lite(module).content
