"""What the tournament made, served by the model server beside the SavedModel it was made of."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from components.compression.compress_model import compress_model
from components.compression.parity import MAX_QUANTISED_MEAN_RATIO, parity_spec
from components.deployment.version_dir import assemble_version
from forecasting.config import step_settings
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.predictors import LitePredictor
from forecasting.series_store import read_series_store
from forecasting.tournament import VariantRecord, read_tournament
from forecasting.windows import ModelInputs
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import model_server
from tests.unit.training.small_run import SmallRun, make_small_run, small_config

NAMES = ("tflite_float32", "tflite_int8_weights", "tflite_int8", "structured_tflite_float32")


@pytest.fixture(scope="module")
def tournament(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallRun, dict[str, VariantRecord], ModelInputs]:
    run = make_small_run(tmp_path_factory.mktemp("served"))
    compression = {
        "variants": NAMES, "max_accuracy_loss": 10.0, "structured_steps": 2, "structured_rounds": 1, "n_parity_windows": 8,
    }  # fmt: skip
    config = small_config(training={"refit": False, "max_epochs": 1}, compression=compression)
    run.perform_with(config, StepName.TRAIN_MODEL)
    step, output = StepName.COMPRESS_MODEL, run.directory(StepName.COMPRESS_MODEL)
    output.mkdir()
    compress_model(step_settings(config, step), run.inputs(step), output, run.context)
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    windows = parity_spec(read_series_store(run.directory(StepName.VALIDATE_DATA)), store, 8).real
    return run, {variant.name: variant for variant in read_tournament(output / "tournament.json")}, windows


def served(
    tournament: tuple[SmallRun, Mapping[str, VariantRecord], ModelInputs], name: str, folder: Path, *flags: str
) -> npt.NDArray[np.float32]:
    """What the server answers to the windows, all at once and the first of them alone."""
    run, variants, windows = tournament
    version = folder / "base" / "1"
    if not version.exists():
        version.parent.mkdir(parents=True)
        model, output = run.directory(StepName.TRAIN_MODEL), run.directory(StepName.COMPRESS_MODEL)
        assemble_version(version, model, output, variants[name])
        assert (version / "saved_model.pb").is_file()
        assert (version / "model.tflite").is_file()
    words = ["--model_name=m", f"--model_base_path={folder / 'base'}", *flags]
    with model_server(words, log=folder / "log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available("m", 1)
        found = client.predict("m", windows.as_dict()).quantiles
        np.testing.assert_allclose(
            client.predict("m", windows[0:1].as_dict()).quantiles, found[:1], rtol=1e-3, atol=1e-3
        )
    return np.asarray(found)


def test_the_float_file_is_served_with_and_without_the_preference_and_answers_the_same(tournament, tmp_path):
    lite = served(tournament, "tflite_float32", tmp_path, "--prefer_tflite_model")
    saved = served(tournament, "tflite_float32", tmp_path)
    np.testing.assert_allclose(lite, saved, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["tflite_int8_weights", "tflite_int8"])
def test_a_quantised_file_is_served_at_any_batch_size_close_to_the_saved_model(tournament, name, tmp_path):
    lite = served(tournament, name, tmp_path, "--prefer_tflite_model")
    saved = served(tournament, name, tmp_path)
    assert np.mean(np.abs(lite - saved)) <= MAX_QUANTISED_MEAN_RATIO * np.mean(np.abs(saved))
    assert np.all(np.diff(lite, axis=2) >= 0)


def test_a_narrowed_network_is_served_and_answers_what_its_file_answers(tournament, tmp_path):
    run, variants, windows = tournament
    name = "structured_tflite_float32"
    lite = served(tournament, name, tmp_path, "--prefer_tflite_model")
    file = run.directory(StepName.COMPRESS_MODEL) / variants[name].path
    assert lite.shape == (8, 24, 3)
    np.testing.assert_allclose(lite, LitePredictor(file).predict(windows), rtol=1e-5)
