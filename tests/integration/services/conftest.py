import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.wire.server_process import RunningServerRecord, model_server
from serving.launch import MONITORING_CONFIG
from tests.unit.serving import tiny_models


@pytest.fixture(scope="session", autouse=True)
def installed_services() -> None:
    """A missing service is a failure, never a skip: these tests run only where they were asked for."""
    missing = [name for name in ("chromium", "prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} must be on PATH; run infra/install-services", pytrace=False)


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the tiny forecasters."""
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


@pytest.fixture
def tiny_server(models: Path, tmp_path: Path) -> Iterator[RunningServerRecord]:
    """A server of the Lite model of factor 2 as version 7 of `tiny`."""
    tiny_models.write_version(models, tmp_path / "tiny" / "7", factor=2, lite=True)
    flags = [
        "--model_name=tiny",
        f"--model_base_path={tmp_path / 'tiny'}",
        "--prefer_tflite_model",
        f"--monitoring_config_file={MONITORING_CONFIG}",
        "--max_num_load_retries=0",
    ]
    with model_server(flags, log=tmp_path / "server.log") as server:
        yield server
