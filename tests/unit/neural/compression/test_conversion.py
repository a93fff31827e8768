import numpy as np
import pytest

from forecasting.errors import ArtifactError
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.lite_ranges import activation_ranges
from forecasting.neural.compression.lite_weights import integer_products, integer_weights
from forecasting.neural.precision import product_layers
from forecasting.predictors import LitePredictor
from forecasting.variants import Precision
from forecasting.windows import ModelInputs
from forecasting.wire.lite_signatures import METADATA_ENTRY, read_signatures
from forecasting.wire.messages import DataType

LARGEST_MEAN_RATIO = {
    Precision.FLOAT32: 1e-6,
    Precision.FLOAT16: 1e-3,
    Precision.INT8_WEIGHTS: 0.01,
    Precision.INT8: 0.02,
    Precision.INT8_MIXED: 0.02,
    Precision.INT8_AWARE: 0.02,
}


@pytest.fixture(scope="module")
def converted(module, float_lite, calibration):
    return {
        precision: convert_to_lite(module, precision, calibration=calibration, converted=float_lite)
        for precision in Precision
    }


def quantiles(module, inputs: ModelInputs) -> np.ndarray:
    return module.quantiles(inputs.history, inputs.future).numpy()


def extremes(inputs: ModelInputs) -> dict[str, ModelInputs]:
    few = inputs[:4]
    # Target and observed columns; what follows is known, and the calendar is never missing.
    random, missing = few.history.copy(), few.history.copy()
    random[:, :, :2] = np.random.default_rng(5).normal(2500.0, 3000.0, few.history[:, :, :2].shape)
    missing[:, :, :3] = np.nan
    return {
        "zeros": ModelInputs(np.zeros_like(few.history), np.zeros_like(few.future)),
        "constants": ModelInputs(np.full_like(few.history, 7.0), np.full_like(few.future, 7.0)),
        "no history": ModelInputs(missing, few.future),
        "a hundred times as large": ModelInputs(100.0 * few.history, few.future),
        "random": ModelInputs(random, few.future),
    }


@pytest.mark.parametrize("precision", list(Precision))
def test_a_conversion_answers_as_the_network_does_on_windows_it_has_not_seen(precision, converted, module, unseen):
    expected = quantiles(module, unseen)
    found = LitePredictor(converted[precision].content).predict(unseen)
    assert np.abs(found - expected).mean() <= LARGEST_MEAN_RATIO[precision] * np.abs(expected).mean()


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("kind", ["zeros", "constants", "no history", "a hundred times as large", "random"])
def test_extreme_windows_get_finite_quantiles_in_order(precision, kind, converted, unseen):
    found = LitePredictor(converted[precision].content).predict(extremes(unseen)[kind])
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found, axis=2) >= 0)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
@pytest.mark.parametrize("kind", ["zeros", "constants", "no history", "a hundred times as large", "random"])
def test_a_float_conversion_answers_as_the_network_does_on_extreme_windows(precision, kind, converted, module, unseen):
    window = extremes(unseen)[kind]
    expected = quantiles(module, window)
    found = LitePredictor(converted[precision].content).predict(window)
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("precision", list(Precision))
def test_a_conversion_runs_at_any_batch_size(precision, converted, unseen):
    whole = LitePredictor(converted[precision].content).predict(unseen)
    single = LitePredictor(converted[precision].content).predict(unseen[3:4])
    np.testing.assert_allclose(single[0], whole[3], rtol=1e-5)


@pytest.mark.parametrize("precision", list(Precision))
def test_a_conversion_keeps_the_signature_of_tensorflow_serving(precision, converted, module):
    content = converted[precision].content
    # Without the entry, names of tensors would be read, which are the same.
    assert METADATA_ENTRY.encode() in content
    found = read_signatures(content)
    assert list(found) == ["serving_default"]
    expected = module.spec.signature.input_shapes()
    assert shapes(found["serving_default"].inputs) == {name: [-1, *shape] for name, shape in expected.items()}
    assert shapes(found["serving_default"].outputs) == {"quantiles": [-1, module.spec.horizon, 3]}


def shapes(tensors) -> dict[str, list[int]]:
    assert {info.dtype for info in tensors.values()} == {DataType.DT_FLOAT}
    return {name: [dim.size for dim in info.tensor_shape.dim] for name, info in tensors.items()}


def test_fewer_bits_make_smaller_files(converted):
    size = {precision: len(model.content) for precision, model in converted.items()}
    assert size[Precision.INT8] < size[Precision.FLOAT16] < size[Precision.FLOAT32]
    assert size[Precision.INT8_WEIGHTS] < size[Precision.FLOAT16]


def test_int8_mixed_names_the_layers_that_stay_in_float(converted):
    model = converted[Precision.INT8_MIXED]
    ratios = [record.error_ratio for record in model.float_layers]
    assert ratios
    assert ratios == sorted(ratios, reverse=True)
    assert converted[Precision.INT8].float_layers == ()
    assert model.content != converted[Precision.INT8].content


def test_int8_leaves_features_and_scales_in_float(converted, unseen):
    larger = ModelInputs(unseen.history.copy(), unseen.future)
    larger.history[:, :, 0] += 0.5
    predictor = LitePredictor(converted[Precision.INT8].content)
    moved = predictor.predict(larger) - predictor.predict(unseen)
    # Of 256 steps over the range of the raw column, a half would be less than one.
    assert np.median(moved) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT8_MIXED, Precision.INT8_AWARE])
def test_int8_without_calibration_windows_is_refused(precision, module, float_lite):
    with pytest.raises(ValueError, match=f"{precision.value} needs calibration windows"):
        convert_to_lite(module, precision, converted=float_lite)


def test_int8_of_layers_that_the_model_lacks_is_refused(float_lite, calibration):
    with pytest.raises(ArtifactError, match="found none"):
        integer_products(float_lite, ["elsewhere"], activation_ranges(float_lite, calibration))


def test_int8_weights_of_a_model_that_is_too_narrow_for_any_are_refused(float_lite):
    with pytest.raises(ArtifactError, match="need a product of 1,000,000 weights or more, found none"):
        integer_weights(float_lite, smallest=1_000_000)


def test_what_the_quantiser_refuses_is_an_error_of_the_artifact(module, float_lite):
    layers = [layer.name for layer in product_layers(module.network)]
    with pytest.raises(ArtifactError, match="cannot be quantised: "):
        integer_products(float_lite, layers, {})


def test_calibration_windows_that_the_model_cannot_read_are_an_error_of_the_artifact(float_lite, calibration):
    cut = ModelInputs(calibration.history[:, :, :1], calibration.future)
    with pytest.raises(ArtifactError, match="must run on calibration windows"):
        activation_ranges(float_lite, cut)
