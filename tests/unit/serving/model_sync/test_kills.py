"""Both sides killed with SIGKILL at every point: nothing half is ever visible, and the next round ends equal."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forecasting.repository import ModelRepository
from serving.model_sync.pull import pull_model
from serving.model_sync.push import push_model
from serving.model_sync.sync_manifest import digests
from tests.unit.serving.model_sync.repositories import MODEL, folder_store, is_whole, publish, served

ROOT = Path(__file__).parents[4]
OBJECTS = 9
"""What a push of the second version puts: three files and their list, three of its series store, manifest and roles."""


def killed(direction: str, repository: Path, bucket: Path, point: str) -> bool:
    """Go one round that kills itself; whether it reached the point."""
    command = [
        sys.executable,
        "-m",
        "tests.unit.serving.model_sync.killed_side",
        direction,
        str(repository),
        str(bucket),
        point,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


@pytest.fixture
def beginning(tmp_path):
    """A source with one version that was pushed and pulled, and a second one that was not."""
    source = ModelRepository(tmp_path / "source")
    publish(source, tmp_path, "one")
    store = folder_store(tmp_path / "bucket")
    push_model(source, store, MODEL)
    pull_model(store, ModelRepository(tmp_path / "pulled"), MODEL)
    publish(source, tmp_path, "two")
    return tmp_path


def fresh(beginning: Path, name: str, *parts: str) -> dict[str, Path]:
    """Copies of what is changed, so that each kill begins from the same."""
    folder = beginning / f"try-{name.replace(':', '-')}"
    for part in parts:
        shutil.copytree(beginning / part, folder / part)
    return {part: folder / part for part in parts}


@pytest.mark.parametrize("kind", ["after:half", "after:put"])
def test_a_push_that_is_killed_shows_nothing_half_and_the_next_one_ends_equal(beginning, kind):
    source = ModelRepository(beginning / "source")
    whole = folder_store(beginning / "whole")
    push_model(source, whole, MODEL)
    reached = 0
    for number in itertools.count(1):
        there = fresh(beginning, f"{kind}:{number}", "bucket", "pulled")
        if not killed("push", source.root, there["bucket"], f"{kind}:{number}"):
            break
        reached += 1
        store, pulled = folder_store(there["bucket"]), ModelRepository(there["pulled"])
        pull_model(store, pulled, MODEL)
        assert is_whole(pulled, source)
        assert pulled.roles(MODEL).champion in (1, 2)
        push_model(source, store, MODEL)
        pull_model(store, pulled, MODEL)
        assert served(pulled) == served(source)
        assert pulled.roles(MODEL).champion == 2
        left = {path for path in digests(there["bucket"]) if path.endswith(".part")}
        kept = {path: digest for path, digest in digests(there["bucket"]).items() if path not in left}
        assert kept == digests(beginning / "bucket") | digests(beginning / "whole")
    assert reached == OBJECTS


@pytest.mark.parametrize("kind", ["after:half", "after:download", "before:rename"])
def test_a_pull_that_is_killed_shows_nothing_half_and_the_next_one_ends_equal(beginning, kind):
    source, store = ModelRepository(beginning / "source"), folder_store(beginning / "bucket")
    push_model(source, store, MODEL)
    reached = 0
    for number in itertools.count(1):
        there = fresh(beginning, f"{kind}:{number}", "pulled")
        pulled = ModelRepository(there["pulled"])
        if not killed("pull", pulled.root, beginning / "bucket", f"{kind}:{number}"):
            break
        reached += 1
        assert is_whole(pulled, source)
        pull_model(store, pulled, MODEL)
        assert served(pulled) == served(source)
        assert is_whole(pulled, source)
        assert pulled.roles(MODEL).champion == 2
        assert "versions: 2" in pulled.server_config.read_text()
        assert list((pulled.root / MODEL).glob(".incoming-*")) == []
    assert reached == {"after:half": 7, "after:download": 7, "before:rename": 6}[kind]


def test_a_file_that_arrived_before_the_kill_is_not_brought_again(beginning):
    source, store = ModelRepository(beginning / "source"), folder_store(beginning / "bucket")
    push_model(source, store, MODEL)
    pulled = ModelRepository(beginning / "pulled")
    assert killed("pull", pulled.root, beginning / "bucket", "after:download:4")
    (arrived,) = [path for path in (pulled.root / MODEL / ".incoming-2").rglob("*") if path.is_file()]
    inode = arrived.stat().st_ino
    modified = arrived.stat().st_mtime_ns
    pull_model(store, pulled, MODEL)
    brought = pulled.version_dir(MODEL, 2) / arrived.name
    assert (brought.stat().st_ino, brought.stat().st_mtime_ns) == (inode, modified)
