import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pydantic import ValidationError

from components.compression.compress_model import compress_model
from components.compression.parity import parity_spec
from components.deployment.version_dir import assemble_version
from forecasting.code_closure import PROJECT_ROOT
from forecasting.config import step_settings
from forecasting.config.compression import CompressionConfig
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.series_store import read_series_store
from forecasting.tournament import read_tournament
from tests.unit.training.small_run import make_small_run, small_config


def test_an_onnx_model_of_the_float_model_lies_in_the_version_that_ships(tmp_path: Path) -> None:
    run = make_small_run(tmp_path)
    compression = {"also_export": ["onnx"], "n_parity_windows": 8, "finetune_steps": 2}
    config = small_config(training={"refit": False}, compression=compression)
    run.perform_with(config, StepName.TRAIN_MODEL)
    step, output = StepName.COMPRESS_MODEL, run.directory(StepName.COMPRESS_MODEL)
    output.mkdir()
    outcome = compress_model(step_settings(config, step), run.inputs(step), output, run.context)
    seconds = json.loads((output / "report.json").read_text())["export_s"]
    assert outcome.summary.endswith(f"; onnx in {seconds:.1f} s beside the time budget")
    assert seconds > 0

    model, version = run.directory(StepName.TRAIN_MODEL), tmp_path / "version"
    lite = next(one for one in read_tournament(output / "tournament.json") if one.name == "tflite_float32")
    assemble_version(version, model, output, lite)
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    windows = parity_spec(read_series_store(run.directory(StepName.VALIDATE_DATA)), store, 8).real
    session = onnxruntime.InferenceSession(version / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["quantiles"], windows.as_dict())[0]
    expected = SavedModelPredictor(version).predict(windows)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.mean(np.abs(expected))))


def test_without_being_asked_nothing_is_exported() -> None:
    assert CompressionConfig(max_accuracy_loss=0).also_export == ()


def test_a_form_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="also_export"):
        CompressionConfig.model_validate({"max_accuracy_loss": 0, "also_export": ["coreml"]})


WITHOUT = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
from components.compression.also_export import require_exporters
from forecasting.config.compression import CompressionConfig
require_exporters(CompressionConfig(max_accuracy_loss=0))
require_exporters(CompressionConfig(max_accuracy_loss=0, also_export=("onnx",)))
"""


def test_an_export_whose_packages_are_missing_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    """A process whose packages are all of this environment but two."""
    packages = Path(pytest.__file__).parents[1]
    for path in packages.iterdir():
        if not path.name.startswith(("tf2onnx", "onnxruntime")):
            (tmp_path / path.name).symlink_to(path)
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert "ConfigError: compression.also_export names onnx, which needs onnxruntime, tf2onnx; " in result.stderr
    assert "install almanac[onnx], or take onnx out of compression.also_export" in result.stderr
