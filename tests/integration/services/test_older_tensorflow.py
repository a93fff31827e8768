"""A model exported here loads and answers with TensorFlow 2.20, the newest release that has an official container."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series
from tests.unit.neural.conftest import SMALL, hourly_store  # noqa: F401  # a fixture

pytestmark = pytest.mark.services

RELEASE = "2.20.0"
UV = Path(__file__).parents[3] / ".uv" / "bin" / "uv"
PROGRAM = """
import json, sys
import numpy as np
import tensorflow as tf
folder, lite, inputs = sys.argv[1:]
arrays = {name: np.float32(values) for name, values in json.load(open(inputs)).items()}
saved = tf.saved_model.load(folder).signatures["serving_default"](**{k: tf.constant(v) for k, v in arrays.items()})
runner = tf.lite.Interpreter(model_path=lite).get_signature_runner()
print(json.dumps({"version": tf.__version__, "saved": saved["quantiles"].numpy().tolist(),
                  "lite": next(iter(runner(**arrays).values())).tolist()}))
"""


@pytest.fixture(scope="module")
def older_python(tmp_path_factory) -> Path:
    """Python of an environment with the older TensorFlow alone."""
    folder = tmp_path_factory.mktemp("older") / "venv"
    python = folder / "bin" / "python"
    subprocess.run([str(UV), "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--python", str(python), f"tensorflow=={RELEASE}"], check=True
    )
    return python


def test_an_exported_model_answers_alike_with_the_older_tensorflow(hourly_store, older_python, tmp_path):  # noqa: F811
    network = build_network(NetworkSpec(hourly_store.spec, SMALL))
    module = ForecastModule(network, hourly_store.spec, CalibrationSpec((1.3, 1.0, 0.8)))
    export_saved_model(module, tmp_path / "saved")
    (tmp_path / "model.tflite").write_bytes(convert_to_lite(module).content)
    inputs = window_inputs(gappy_series(700), hourly_store.spec, START + HOUR_S * np.asarray([300]))
    # NaN is a token of Python's json, on both sides.
    (tmp_path / "inputs.json").write_text(json.dumps({k: v.tolist() for k, v in inputs.as_dict().items()}))
    words = [tmp_path / "saved", tmp_path / "model.tflite", tmp_path / "inputs.json"]
    done = subprocess.run(
        [str(older_python), "-c", PROGRAM, *map(str, words)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    assert found["version"] == RELEASE != tf.__version__
    np.testing.assert_allclose(found["saved"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["lite"], expected, rtol=1e-4)
