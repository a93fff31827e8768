"""Model repositories that come from elsewhere: from an earlier release, or from a copy that was made while they changed."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from forecasting.manifests import digest_file, payload_files
from forecasting.repository import LOCK_FILE, ModelRepository
from forecasting.wire.messages import ModelServerConfig
from tests.integration.load_home import FIRST_HOUR, MODEL, make_home, serving

RELEASES = sorted(path for path in Path(__file__).with_name("releases").iterdir() if path.is_dir())
N_COPIES = 8


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: f"contract {path.name}")
def test_a_champion_made_by_an_earlier_release_is_served_with_the_same_numbers(release, tmp_path):
    home = make_home(tmp_path)
    shutil.copytree(release / "models", home.layout.models)
    body = json.dumps({"origin": (FIRST_HOUR + timedelta(days=100)).isoformat()}).encode()
    with (
        serving(home) as server,
        urllib.request.urlopen(
            urllib.request.Request(f"{server.gateway}/v1/forecast", data=body), timeout=60
        ) as response,
    ):
        document = json.load(response)
    (forecast,) = document["forecasts"]
    wanted = json.loads((release / "answer.json").read_text())
    assert (document["version"], document["role"], forecast["degraded"]) == (1, "champion", False)
    assert list(forecast["quantiles"]) == list(wanted)
    for level, values in wanted.items():
        np.testing.assert_allclose(forecast["quantiles"][level], values, rtol=1e-5)


def change_for_ever(models: Path, source: Path) -> None:
    """Publish, promote, roll back and prune until it is killed."""
    repository = ModelRepository(models)
    while True:
        repository.promote("m", repository.publish("m", source, {"run": "r"}))
        repository.rollback("m")
        repository.prune("m", 3)


def copy_under_lock(models: Path, target: Path) -> None:
    """The command of docs/store.md."""
    subprocess.run(["flock", str(models / LOCK_FILE), "cp", "-a", str(models), str(target)], check=True, timeout=60)


@pytest.fixture
def changing(tmp_path: Path):
    """A repository that a process of its own changes all the time, and what its versions hold."""
    source, models = tmp_path / "source", tmp_path / "models"
    source.mkdir()
    for number in range(20):
        (source / f"part-{number}").write_bytes(bytes([number]) * 10_000)
    repository = ModelRepository(models)
    repository.promote("m", repository.publish("m", source, {"run": "r"}))
    child = os.fork()
    if not child:
        try:
            change_for_ever(models, source)
        finally:
            os._exit(1)
    yield models, digests(source)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in payload_files(folder)}


def test_a_copy_made_under_the_lock_while_a_repository_changes_is_whole(changing, tmp_path):
    models, whole = changing
    seen = set()
    for number in range(N_COPIES):
        copy_under_lock(models, tmp_path / f"copy-{number}")
        restored = ModelRepository(tmp_path / f"copy-{number}")
        roles = restored.roles("m")
        seen.add(roles.last_version)
        for version in restored.versions("m"):
            found = digests(restored.version_dir("m", version))
            assert {name: found.get(name) for name in whole} == whole
        assert {roles.champion, roles.previous} - {None} <= set(restored.versions("m"))
        assert restored.audit("m")[-1].champion == roles.champion
        message = text_format.Parse(restored.write_server_config().read_text(), ModelServerConfig())
        (entry,) = message.model_config_list.config
        assert entry.base_path == str(restored.root / "m")
        assert list(entry.model_version_policy.specific.versions) == [roles.champion]
        assert restored.publish("m", tmp_path / "source", {}) > roles.last_version
        time.sleep(0.1)
    assert len(seen) > 1


def test_the_lock_of_a_copy_holds_a_change_back(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model").write_text("model")
    repository = ModelRepository(tmp_path / "models")
    repository.promote(MODEL, repository.publish(MODEL, tmp_path / "source"))
    held = subprocess.Popen(["flock", str(repository.root / LOCK_FILE), "sleep", "1"])
    time.sleep(0.3)
    start = time.monotonic()
    repository.promote(MODEL, repository.publish(MODEL, tmp_path / "source"))
    assert time.monotonic() - start > 0.4
    assert held.wait(10) == 0
