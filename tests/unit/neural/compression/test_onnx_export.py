"""An ONNX model has the signature of the contract and answers what the model answers."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from forecasting.errors import ArtifactError
from forecasting.neural.compression.onnx_export import export_onnx
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.windows import ModelInputs, stack_inputs, window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.neural.test_model_matrix import small_model

ORIGINS = START + HOUR_S * np.asarray([14, 150, 300, 450, 600])


@pytest.fixture(scope="module")
def module() -> ForecastModule:
    spec = melbourne_spec(700, horizon=6, context=18, segment=6, seasons=(12,))
    network = build_network(NetworkSpec(spec, small_model("segment_lstm")))
    found = ForecastModule(network, spec, CalibrationSpec((1.1, 1.0, 1.2)))
    found.quantiles(**windows(found).as_dict())
    # Some kernels start at zero, and zeros hide what is wrong.
    random = np.random.default_rng(5)
    for variable in network.trainable_variables:
        variable.assign(variable.numpy() + random.normal(0, 0.05, variable.shape).astype(np.float32))
    return found


def windows(module: ForecastModule) -> ModelInputs:
    return stack_inputs([window_inputs(gappy_series(700), module.spec, ORIGINS)])


@pytest.fixture(scope="module")
def exported(module: ForecastModule) -> bytes:
    return export_onnx(module, windows(module))


def test_inputs_and_output_have_the_names_and_shapes_of_the_signature(module, exported):
    graph = onnx.load_from_string(exported).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    expected = {name: ["batch", *shape] for name, shape in module.spec.signature.input_shapes().items()}
    assert shapes == expected | {"quantiles": ["batch", 6, 3]}


@pytest.mark.parametrize("size", [1, 3, 5])
def test_any_batch_size_gets_the_answers_of_the_model(module, exported, size):
    inputs = windows(module)[:size]
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    found = session.run(["quantiles"], inputs.as_dict())[0]
    expected = module.quantiles(**{name: tf.constant(array) for name, array in inputs.as_dict().items()}).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0)
    assert len(np.unique(expected)) > 3


def test_an_operation_that_onnx_lacks_is_refused_by_name(module):
    class Odd(ForecastModule):
        def quantiles(self, history, future, static=None):
            found = super().quantiles(history, future, static)
            return found + 0.0 * tf.raw_ops.Ndtri(x=tf.nn.sigmoid(found))

    with pytest.raises(ArtifactError, match="Ndtri"):
        export_onnx(Odd(module.network, module.spec, module.calibration), windows(module))


def test_what_the_exporter_cannot_translate_is_an_error_of_the_artifact(module):
    class Turned(ForecastModule):
        """Its axes are turned by what a computation says, which ONNX must know beforehand."""

        def quantiles(self, history, future, static=None):
            found = super().quantiles(history, future, static)
            return tf.transpose(found, tf.argsort(found[0, 0, :3], stable=True))

    with pytest.raises(ArtifactError, match="cannot be written as ONNX"):
        export_onnx(Turned(module.network, module.spec, module.calibration), windows(module))


def test_other_answers_than_the_models_are_refused(module):
    class Moody(ForecastModule):
        """Answers more when it is asked directly than what its exported graph says."""

        def quantiles(self, history, future, static=None):
            found = super().quantiles(history, future, static)
            return found * 1.01 if tf.executing_eagerly() else found

    with pytest.raises(ArtifactError, match=r"onnxruntime differs by \d\.\de-0[23]"):
        export_onnx(Moody(module.network, module.spec, module.calibration), windows(module))


def test_a_window_without_a_known_target_is_answered_too(module, exported):
    inputs = windows(module)[:1]
    history = inputs.history.copy()
    history[:, :, 0] = np.nan
    inputs = replace(inputs, history=history)
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    found = session.run(["quantiles"], inputs.as_dict())[0]
    expected = module.quantiles(**{name: tf.constant(array) for name, array in inputs.as_dict().items()}).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0)
    assert np.all(np.isfinite(found))
