"""Versions come and go under traffic; SavedModels; damaged versions."""

import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from forecasting.errors import AlmanacError, RemoteError
from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import model_server
from tests.unit.serving import tiny_models

POLL = [
    "--file_system_poll_wait_seconds=0.1",
    "--model_config_file_poll_wait_seconds=0.1",
    "--max_num_load_retries=0",
    "--prefer_tflite_model",
]


def _wait(condition, seconds=20.0):
    event, deadline = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        event.wait(0.05)
    return False


@pytest.fixture
def repository(models, tmp_path):
    made = ModelRepository(tmp_path / "models")
    for factor in (1, 2):
        made.publish("m", tiny_models.write_version(models, tmp_path / str(factor), factor=factor, lite=True))
    made.promote("m", 1)
    return made


def test_a_promotion_under_traffic_loses_no_request_and_ends_at_the_new_version(repository, tmp_path):
    inputs, seen, errors, stop = tiny_models.window().as_dict(), [], [], threading.Event()

    def ask(client):
        while not stop.is_set():
            try:
                seen.append(client.predict("m", inputs).version)
            except AlmanacError as error:
                errors.append(error)

    with (
        model_server([f"--model_config_file={repository.server_config}", *POLL], log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        worker = threading.Thread(target=ask, args=(client,))
        worker.start()
        repository.set_candidate("m", 2)
        client.wait_available("m-candidate", 2)
        assert client.predict("m", inputs).version == 1
        repository.promote("m", 2)
        assert _wait(lambda: client.predict("m", inputs).version == 2)
        repository.rollback("m")
        assert _wait(lambda: client.predict("m", inputs).version == 1)
        assert _wait(lambda: [entry.state for entry in client.status("m-candidate")] == ["END"])
        stop.set()
        worker.join()
    assert errors == []
    assert set(seen) == {1, 2}


def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one_served(models, tmp_path):
    base, inputs = tmp_path / "base", tiny_models.window().as_dict()
    tiny_models.write_version(models, base / "1", factor=1, lite=True)
    with (
        model_server(["--model_name=m", f"--model_base_path={base}", *POLL], log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "model.tflite").write_bytes(b"\x00" * 64)
        broken.rename(base / "2")
        with pytest.raises(RemoteError, match="TFL3"):
            client.wait_available("m", 2, timeout_s=20)
        assert client.predict("m", inputs).version == 1
        shutil.rmtree(base / "2")
        shutil.rmtree(base / "1")
        assert _wait(lambda: [entry.state for entry in client.status("m")] == ["END", "END"])


def test_a_saved_model_answers_as_its_lite_model_does(models, tmp_path):
    base = tmp_path / "base"
    tiny_models.write_version(models, base / "1", factor=2, lite=True)
    flags = ["--model_name=m", f"--model_base_path={base}", "--max_num_load_retries=0"]
    inputs = tiny_models.window(target=3.0, n=2)
    inputs.history[1, :3, 0] = np.nan
    with model_server(flags, log=tmp_path / "log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available("m", 1, timeout_s=120)
        answer = client.predict("m", inputs.as_dict()).quantiles
        np.testing.assert_allclose(answer, tiny_models.expected(inputs, 2.0), rtol=1e-6)
        with pytest.raises(RemoteError, match=r"INVALID_ARGUMENT.*Type mismatch"):
            client.predict("m", {**inputs.as_dict(), "future": inputs.future.astype(np.float64)})


def test_a_server_of_lite_models_never_imports_tensorflow():
    program = (
        "import sys; import serving.model_server.server, serving.model_server.__main__, serving.gateway.__main__, serving.launch, serving.client\n"
        "from serving.model_server.backends.lite import LiteBackend\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'mlflow', 'matplotlib', 'apache_beam', 'great_expectations', 'kfp'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
