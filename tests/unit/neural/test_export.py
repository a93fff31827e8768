"""Exported and converted models against the network they came from, on real windows."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from forecasting.errors import ArtifactError
from forecasting.features.spec import ScalerSpec, read_feature_spec
from forecasting.features.terms import TERM_KINDS
from forecasting.features.transform import feature_blocks
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.predictors import LitePredictor
from forecasting.schema import Series
from forecasting.variants import Precision
from forecasting.windows import ModelInputs, window_inputs
from forecasting.wire.lite_signatures import METADATA_ENTRY
from tests.contract.feature_references import EXAMPLES
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import feature_planes
from tests.unit.neural.conftest import SMALL

ORIGINS = START + HOUR_S * np.asarray([80, 150, 300, 450, 600])


@pytest.fixture(scope="module")
def module(hourly_store):
    network = build_network(NetworkSpec(hourly_store.spec, SMALL))
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return ForecastModule(network, hourly_store.spec, CalibrationSpec((1.3, 1.0, 0.8)))


@pytest.fixture(scope="module")
def inputs(hourly_store):
    return window_inputs(gappy_series(700), hourly_store.spec, ORIGINS)


@pytest.fixture(scope="module")
def saved(module, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "model"
    export_saved_model(module, directory)
    return directory


def test_saved_model_equals_the_module_in_the_targets_unit(module, inputs, saved):
    found = SavedModelPredictor(saved).predict(inputs)
    np.testing.assert_allclose(found, module.quantiles(inputs.history, inputs.future).numpy(), rtol=1e-5)
    assert 50 < float(np.median(found)) < 150


def test_raw_signature_makes_the_same_calendar_in_the_graph(inputs, saved, hourly_store):
    model = tf.saved_model.load(str(saved))
    n = len(hourly_store.spec.calendar.names)
    raw = model.signatures["serving_raw"](
        history=tf.constant(inputs.history[:, :, :-n]),
        future=tf.constant(inputs.future[:, :, :-n]),
        origin=tf.constant(ORIGINS),
    )["quantiles"]
    np.testing.assert_allclose(raw.numpy(), SavedModelPredictor(saved).predict(inputs), rtol=1e-4)


def test_feature_spec_travels_with_the_model(saved, hourly_store):
    assert read_feature_spec(saved / "assets.extra/almanac_feature_spec.json") == hourly_store.spec


def test_lite_model_equals_the_float_model_for_any_batch_size(module, inputs, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    predictor = LitePredictor(path)
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    np.testing.assert_allclose(predictor.predict(inputs), expected, rtol=1e-5)
    np.testing.assert_allclose(predictor.predict(inputs[1:3]), expected[1:3], rtol=1e-5)


def test_int8_model_is_smaller_and_close(module, inputs, tmp_path):
    path = tmp_path / "model.tflite"
    small = convert_to_lite(module, Precision.INT8_WEIGHTS).content
    path.write_bytes(small)
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    assert np.mean(np.abs(LitePredictor(path).predict(inputs) - expected)) / np.mean(expected) < 0.02
    assert len(small) < len(convert_to_lite(module).content)


def test_lite_model_carries_the_signature_for_tensorflow_serving(module):
    assert METADATA_ENTRY.encode() in convert_to_lite(module).content


def test_static_columns_and_lower_bound_survive_export(sales_store, tmp_path):
    module = ForecastModule(
        build_network(NetworkSpec(sales_store.spec, SMALL)), sales_store.spec, CalibrationSpec((400.0, 1.0, 1.0))
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    series = gappy_series(700, seed=3, static=(1,))
    inputs = window_inputs(series, sales_store.spec, ORIGINS[1:])
    found = LitePredictor(path).predict(inputs)
    assert found.min() == 0.0
    export_saved_model(module, tmp_path / "saved")
    np.testing.assert_allclose(found, SavedModelPredictor(tmp_path / "saved").predict(inputs), rtol=1e-4, atol=1e-3)


def test_a_count_between_bounds_is_forecast_in_whole_numbers_everywhere(sales_store, tmp_path):
    spec = replace(sales_store.spec, lower_bound=80.0, upper_bound=105.0, whole_numbers=True)
    module = ForecastModule(build_network(NetworkSpec(spec, SMALL)), spec, CalibrationSpec((4.0, 1.0, 4.0)))
    inputs = window_inputs(gappy_series(700, seed=3, static=(1,)), spec, ORIGINS[1:])
    expected = module.quantiles(inputs.history, inputs.future, inputs.static).numpy()
    assert (expected.min(), expected.max()) == (80.0, 105.0)
    np.testing.assert_array_equal(expected, np.rint(expected))
    assert len(np.unique(expected)) > 10
    (tmp_path / "model.tflite").write_bytes(convert_to_lite(module).content)
    found = LitePredictor(tmp_path / "model.tflite").predict(inputs)
    # A value close to a half may be rounded the other way by another order of sums.
    assert np.mean(found != expected) < 0.01


class UnsupportedModule(ForecastModule):
    """Has an operation that TensorFlow Lite lacks."""

    def quantiles(self, history, future, static=None):
        return super().quantiles(history, future, static) + tf.math.erfinv(history[:, :1, :1] * 0.0)


def test_a_model_that_cannot_be_converted_is_an_artifact_error(module):
    broken = UnsupportedModule(module.network, module.spec, module.calibration)
    with pytest.raises(ArtifactError, match="cannot be converted"):
        convert_to_lite(broken)


def test_a_model_that_fails_as_it_runs_is_an_artifact_error(module, inputs, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    short = ModelInputs(inputs.history[:, 1:], inputs.future)
    with pytest.raises(ArtifactError, match=r"model\.tflite"):
        LitePredictor(path).predict(short)


@pytest.fixture(scope="module")
def scaled_by_series():
    """The target on a logarithmic scale of each series' own, wind likewise over all, a static column besides."""
    scaler = ScalerSpec(
        location={"load": 4.6, "wind": 1.2, "temperature": 15.0},
        scale={"load": 0.3, "wind": 0.5, "temperature": 6.0},
        logarithmic=("load", "wind"),
        own={"load": {"a": (4.5, 0.2), "b": (8.4, 0.25)}, "temperature": {"a": (14.0, 5.0)}},
    )
    spec = melbourne_spec(700, scaler=scaler, static=("shop",), categories={"shop": ("x", "y")})
    return spec, ForecastModule(build_network(NetworkSpec(spec, SMALL)), spec, CalibrationSpec((1.0, 1.0, 1.0)))


def sales(series_id: str, factor: float) -> Series:
    return Series(series_id, START, gappy_series(700).values * [factor, 1.0, 1.0], (1,))


@pytest.mark.parametrize(("series_id", "factor"), [("a", 1.0), ("b", 50.0), ("new", 7.0)])
def test_the_graph_scales_each_series_as_the_feature_store_does(scaled_by_series, series_id, factor):
    spec, module = scaled_by_series
    series = sales(series_id, factor)
    inputs = window_inputs(series, spec, ORIGINS[2:3])
    assert inputs.static.shape == (1, 1 + 2 * 2)
    found = module.transform_features()(**{name: tf.constant(array) for name, array in inputs.as_dict().items()})
    planes = feature_planes(series, spec)
    n_past, origin = len(feature_blocks(spec).past), 300
    np.testing.assert_allclose(found["history_features"][0], planes[origin : origin + spec.context], atol=2e-5)
    np.testing.assert_allclose(found["future_features"][0], planes[origin + spec.context :][:24, n_past:], atol=2e-5)


@pytest.mark.parametrize(("series_id", "factor"), [("a", 1.0), ("b", 50.0)])
def test_a_forecast_comes_back_on_the_scale_of_its_series_in_lite_too(scaled_by_series, tmp_path, series_id, factor):
    spec, module = scaled_by_series
    inputs = window_inputs(sales(series_id, factor), spec, ORIGINS)
    expected = module.quantiles(inputs.history, inputs.future, tf.constant(inputs.static)).numpy()
    assert 30 * factor < float(np.median(expected)) < 300 * factor
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    np.testing.assert_allclose(LitePredictor(path).predict(inputs), expected, rtol=2e-4)
    export_saved_model(module, tmp_path / "saved")
    np.testing.assert_allclose(SavedModelPredictor(tmp_path / "saved").predict(inputs), expected, rtol=1e-4)
    assert read_feature_spec(tmp_path / "saved/assets.extra/almanac_feature_spec.json") == spec


def test_every_kind_of_derived_feature_converts_to_lite(tmp_path):
    derived = tuple(replace(term, column="load") for terms in EXAMPLES.values() for term in terms if term.reach < 200)
    spec = melbourne_spec(700, derived=derived)
    module = ForecastModule(build_network(NetworkSpec(spec, SMALL)), spec, CalibrationSpec((1.0, 1.0, 1.0)))
    inputs = window_inputs(gappy_series(700), spec, ORIGINS)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    np.testing.assert_allclose(LitePredictor(path).predict(inputs), expected, rtol=2e-4)
    assert {term.kind for term in derived} == set(TERM_KINDS)
