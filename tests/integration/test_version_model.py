"""The SavedModel of a version run in this process, with TensorFlow in it."""

import numpy as np
import pytest

from forecasting.errors import ArtifactError
from forecasting.runtimes.version_model import VersionModel
from tests.unit.serving import tiny_models


@pytest.fixture(scope="module")
def models(request):
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


def test_a_saved_model_says_what_its_forecaster_says(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "1", factor=2, lite=False)
    inputs = tiny_models.window(target=4.0, n=3)
    with VersionModel(tmp_path / "1") as model:
        np.testing.assert_allclose(model.answer(inputs), tiny_models.expected(inputs, 2.0), rtol=1e-6)


def test_inputs_of_another_shape_are_refused_where_the_graph_would_take_them(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "1", factor=2, lite=False)
    found = tiny_models.window()
    other = type(found)(found.history[:, :, :1], found.future)
    with (
        VersionModel(tmp_path / "1") as model,
        pytest.raises(ArtifactError, match=r"takes 'history' in the shape .*found \(1, 6, 1\)"),
    ):
        model.answer(other)


def test_a_saved_model_that_cannot_be_loaded_is_one_error(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(ArtifactError, match="must be a SavedModel, found what cannot be parsed"):
        VersionModel(tmp_path)
