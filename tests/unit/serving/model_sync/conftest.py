"""Both ends of an object store: the bucket, and the repository that is pulled into."""

import pytest

from forecasting.repository import ModelRepository
from tests.unit.serving.model_sync.repositories import folder_store


@pytest.fixture
def store(tmp_path):
    return folder_store(tmp_path / "bucket")


@pytest.fixture
def pulled(tmp_path):
    return ModelRepository(tmp_path / "pulled")
