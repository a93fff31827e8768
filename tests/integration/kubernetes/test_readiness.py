"""ready.sh against a running server: ready while the champion is AVAILABLE, whatever the status page's code."""

import os
import subprocess
from pathlib import Path

import pytest

from forecasting.wire.server_process import model_server
from tests.integration.kubernetes.rendering import KUSTOMIZE
from tests.integration.load_home import wait_until
from tests.unit.serving import tiny_models

pytestmark = pytest.mark.services
READY = KUSTOMIZE / "base/files/ready.sh"


def is_ready(port: int, model: str) -> bool:
    environment = {**os.environ, "REST_PORT": str(port), "ALMANAC_MODEL": model}
    done = subprocess.run(["bash", str(READY)], env=environment, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest) -> Path:
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


def test_ready_means_that_the_champion_is_available(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "tiny" / "7", factor=2, lite=True)
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.tflite").write_bytes(b"no model")
    config = tmp_path / "models.config"
    config.write_text(
        "model_config_list {\n"
        + "".join(
            f'  config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" }}\n'
            for name in ("tiny", "broken")
        )
        + "}\n",
        encoding="utf-8",
    )
    flags = [f"--model_config_file={config}", "--prefer_tflite_model", "--max_num_load_retries=0"]
    with model_server(flags, log=tmp_path / "server.log") as server:
        port = int(server.rest_address.rpartition(":")[2])
        wait_until(lambda: is_ready(port, "tiny"), server.process)
        assert not is_ready(port, "broken")
        assert not is_ready(port, "unknown")
    assert not is_ready(port, "tiny")
