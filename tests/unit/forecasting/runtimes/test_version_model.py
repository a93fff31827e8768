"""The model of a version run in this process; SavedModels are tried in tests/integration, for they import TensorFlow."""

import numpy as np
import pytest

from forecasting.errors import ArtifactError
from forecasting.runtimes.version_model import VersionModel
from tests.unit.serving import tiny_models


@pytest.fixture(scope="module")
def models(request):
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


def test_a_lite_model_says_what_its_forecaster_says_at_any_batch_size(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "1", factor=2, lite=True)
    with VersionModel(tmp_path / "1") as model:
        for n in (1, 3, 2):
            inputs = tiny_models.window(target=4.0, n=n)
            np.testing.assert_allclose(model.answer(inputs), tiny_models.expected(inputs, 2.0), rtol=1e-6)


def test_inputs_that_the_model_does_not_take_are_refused(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "1", factor=2, lite=True)
    inputs = tiny_models.window()
    more = type(inputs)(inputs.history, inputs.future, np.zeros((1, 1), np.float32))
    with (
        VersionModel(tmp_path / "1") as model,
        pytest.raises(ArtifactError, match=r"takes .*'future', 'history'.*'static'"),
    ):
        model.answer(more)


def test_a_history_of_another_length_is_refused(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "1", factor=2, lite=True)
    inputs = tiny_models.window()
    shorter = type(inputs)(inputs.history[:, :5], inputs.future)
    with VersionModel(tmp_path / "1") as model, pytest.raises(ArtifactError, match="takes 'history' in the shape"):
        model.answer(shorter)


@pytest.mark.parametrize("content", [None, b"", b"nonsense that is no model"])
def test_a_version_without_a_model_that_can_be_read_is_one_error(tmp_path, content):
    if content is not None:
        (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ArtifactError, match="must"):
        VersionModel(tmp_path)
