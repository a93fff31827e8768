from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.wire.server_process import RunningServerRecord, model_server
from serving.launch import MONITORING_CONFIG
from tests.unit.serving import tiny_models


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the tiny forecasters."""
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


@pytest.fixture(scope="module")
def lite_server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServerRecord]:
    """A server of the Lite model of factor 2 as version 7 of `tiny`."""
    base = tmp_path_factory.mktemp("lite")
    tiny_models.write_version(models, base / "7", factor=2, lite=True)
    flags = ["--model_name=tiny", f"--model_base_path={base}", "--prefer_tflite_model", "--max_num_load_retries=0"]
    flags += [f"--monitoring_config_file={MONITORING_CONFIG}", "--enable_grpc_healthcheck_service"]
    with model_server(flags, log=base / "log") as server:
        yield server
