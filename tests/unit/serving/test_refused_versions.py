"""A version that may not be loaded never becomes available; the one before it is served, and the reason is counted."""

import re
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from forecasting.admission.signing import find_private_key
from forecasting.errors import RemoteError
from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from tests.unit.forecasting.admission.test_signing import write_keys
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, write_home

POLL = ["--file_system_poll_wait_seconds=0.1", "--max_num_load_retries=0", "--prefer_tflite_model"]


def load_failures(page: str) -> dict[str, float]:
    """Failed loads by reason, from a page of metrics."""
    pattern = r'almanac_model_server_load_failures_total\{model="m",reason="([^"]+)"\} (\d+)'
    return {reason: float(number) for reason, number in re.findall(pattern, page)}


@pytest.fixture
def published(models: Path, tmp_path: Path) -> Path:
    """Base path of a model with one published version."""
    repository = ModelRepository(tmp_path / "models")
    repository.publish("m", tiny_models.write_version(models, tmp_path / "one", factor=1, lite=True))
    return repository.root / "m"


def _served_beside(base: Path, second: Path, log: Path, *flags: str) -> tuple[str, dict[str, float]]:
    """Why the second version ended, while the first answered; and the failed loads."""
    with (
        model_server(["--model_name=m", f"--model_base_path={base}", *POLL, *flags], log=log) as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        second.rename(base / "2")
        with pytest.raises(RemoteError) as refused:
            client.wait_available("m", 2, timeout_s=90)
        assert client.predict("m", tiny_models.window().as_dict()).version == 1
        page = httpx.get(f"http://{server.rest_address}/metrics").text
    return str(refused.value), load_failures(page)


def test_a_published_version_with_another_digest_is_never_available(published, tmp_path):
    second = shutil.copytree(published / "1", tmp_path / "second")
    altered = bytearray((second / "model.tflite").read_bytes())
    altered[-1] ^= 1
    (second / "model.tflite").write_bytes(altered)
    text, failures = _served_beside(published, second, tmp_path / "log")
    assert "model.tflite must have the SHA-256" in text
    assert failures == {"altered_file": 1}


def test_a_version_without_a_list_of_files_is_refused_where_one_is_demanded(published, tmp_path):
    second = shutil.copytree(published / "1", tmp_path / "second")
    (second / "manifest.json").unlink()
    text, failures = _served_beside(published, second, tmp_path / "log", "--require_version_manifest")
    assert "must have manifest.json" in text
    assert failures == {"no_manifest": 1}


def test_a_version_that_is_no_model_is_counted_as_such(published, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    (second / "model.tflite").write_bytes(b"\x00" * 64)
    text, failures = _served_beside(published, second, tmp_path / "log")
    assert "TFL3" in text
    assert failures == {"unreadable_graph": 1}


def test_a_saved_model_without_a_shard_of_its_variables_is_counted_as_unloadable(published, models, tmp_path):
    second = shutil.copytree(models / "saved" / "2", tmp_path / "second")
    (second / "variables" / "variables.data-00000-of-00001").unlink()
    text, failures = _served_beside(published, second, tmp_path / "log")
    assert "cannot load" in text
    assert failures == {"unloadable": 1}


@pytest.mark.parametrize("operation", ["ReadFile", "WriteFile", "EagerPyFunc"])
def test_a_saved_model_that_does_more_than_compute_is_never_available(published, models, tmp_path, operation):
    second = shutil.copytree(models / "forbidden" / operation, tmp_path / "second")
    text, failures = _served_beside(published, second, tmp_path / "log")
    assert f"found {operation} in node" in text
    assert failures == {"forbidden_operation": 1}


def test_an_operation_that_the_operator_names_is_loaded(models, tmp_path):
    names = tmp_path / "names"
    names.write_text("ReadFile  # of what a trusted team makes\n")
    shutil.copytree(models / "forbidden" / "ReadFile", tmp_path / "base" / "1")
    flags = ["--model_name=m", f"--model_base_path={tmp_path / 'base'}", *POLL, f"--allowed_operations_file={names}"]
    with model_server(flags, log=tmp_path / "log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available("m", 1, timeout_s=120)


def test_an_unsigned_version_is_never_available_where_a_key_is_set(models, tmp_path):
    private, public = write_keys(tmp_path)
    repository = ModelRepository(tmp_path / "models")
    source = tiny_models.write_version(models, tmp_path / "one", factor=1, lite=True)
    repository.publish("m", source, key=find_private_key(str(private), None))
    repository.publish("m", source)
    second = (repository.root / "m" / "2").rename(tmp_path / "second")
    text, failures = _served_beside(repository.root / "m", second, tmp_path / "log", f"--signature_key_file={public}")
    assert "must have model.sig" in text
    assert failures == {"unsigned": 1}


def test_a_gateway_with_a_key_reads_signed_versions_alone(models, tmp_path):
    private, public = write_keys(tmp_path)
    home = write_home(models, tmp_path)
    repository = ModelRepository(home / "models")
    for key in (None, find_private_key(str(private), None)):
        version = repository.publish("tiny", home / "version", key=key)
        repository.keep_series("tiny", version, home / "series")
        repository.promote("tiny", version)
        command = [
            sys.executable,
            "-m",
            "serving.gateway",
            "--model=tiny",
            f"--models-dir={home / 'models'}",
            "--port=0",
        ]
        command += ["--grpc=127.0.0.1:1", f"--signature-key-file={public}"]
        with listening_process(command, LINE, log=tmp_path / "gateway.log") as (_, addresses):
            answer = httpx.post(f"http://{addresses['http']}/v1/forecast", json={"series": ["a"]}, timeout=60)
        assert (answer.status_code == 200) == (key is not None), answer.text
    assert "must have model.sig" in (tmp_path / "gateway.log").read_text()
