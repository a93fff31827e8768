"""Every change of the repository, of a run and of a checkpoint, ended at each of its calls to the file system."""

import fcntl
import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from forecasting.cache import STEP_KINDS
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole, RunStatus, served_name
from forecasting.manifests import digest_file, payload_files, replacing, verify
from forecasting.neural.checkpoint import CheckpointStore, LoopRecord, TrainingState
from forecasting.repository import LOCK_FILE, ModelRepository
from forecasting.runs import RunRecord, create_run, load_run
from forecasting.wire.messages import ModelServerConfig
from tests.faults.interruption import Interruption, count_points, interrupted, ways
from tests.unit.forecasting.test_execution import WritingStep, _execute

Change = Callable[[ModelRepository, Path], object]
CHANGES: dict[str, Change] = {
    "publish": lambda found, folder: found.publish("m", folder / "source", {"run": "r4"}),
    "keep series": lambda found, folder: found.keep_series("m", 3, folder / "store"),
    "set candidate": lambda found, folder: found.set_candidate("m", 1),
    "remove candidate": lambda found, folder: found.remove_candidate("m"),
    "promote": lambda found, folder: found.promote("m", 3),
    "roll back": lambda found, folder: found.rollback("m"),
    "reject": lambda found, folder: found.reject("m", 3, reason="no", check=lambda roles: None),
    "prune": lambda found, folder: found.prune("m", 1),
    "write configuration": lambda found, folder: found.write_server_config(),
}


def contents(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): digest_file(path) for path in payload_files(directory)}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of four versions: 1 is nothing, 2 was champion, 3 is candidate, 4 is champion; and what to add."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "source" / "variables").mkdir(parents=True)
    (folder / "source" / "saved_model.pb").write_bytes(b"graph" * 100)
    (folder / "source" / "variables" / "variables.index").write_bytes(b"weights")
    (folder / "store").mkdir()
    for name in ("series.parquet", "index.parquet", "schema.json"):
        (folder / "store" / name).write_text(name)
    repository = ModelRepository(folder / "models")
    for number in (1, 2, 3, 4):
        repository.publish("m", folder / "source", {"run": f"r{number}"})
    repository.promote("m", 2)
    repository.promote("m", 4)
    repository.set_candidate("m", 3)
    return folder


def pins(repository: ModelRepository) -> dict[str, int]:
    message = text_format.Parse(repository.server_config.read_text(), ModelServerConfig())
    return {one.name: one.model_version_policy.specific.versions[0] for one in message.model_config_list.config}


def pins_of_roles(repository: ModelRepository) -> dict[str, int]:
    roles = repository.roles("m")
    found = {served_name("m", role): roles.of(role) for role in (ModelRole.CHAMPION, ModelRole.CANDIDATE)}
    return {name: version for name, version in found.items() if version is not None}


def assert_sound(repository: ModelRepository, folder: Path, allowed: list[object]) -> None:
    """What no interruption may break: whole versions, a champion, pins that exist, a log that can be read."""
    whole = contents(folder / "source")
    assert {str(contents(repository.version_dir("m", one))) for one in repository.versions("m")} == {str(whole)}
    roles = repository.roles("m")
    assert {roles.champion, roles.candidate, roles.previous} - {None} <= set(repository.versions("m"))
    assert roles.last_version >= max(repository.versions("m"))
    assert (roles.champion, roles.candidate, roles.previous) in allowed
    assert set(pins(repository).values()) <= set(repository.versions("m"))
    repository.audit("m")
    assert all(repository.record("m", version)["run"] for version in repository.versions("m"))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_repository_ended_anywhere_leaves_it_whole_and_can_be_made_again(begun, quick_path, name):
    change = CHANGES[name]

    def at(folder: Path) -> ModelRepository:
        shutil.copytree(begun, folder)
        return ModelRepository(folder / "models")

    def held(repository: ModelRepository) -> object:
        roles = repository.roles("m")
        return roles.champion, roles.candidate, roles.previous

    undisturbed = at(quick_path / "undisturbed")
    allowed = [held(undisturbed)]
    points = count_points(lambda: change(undisturbed, quick_path / "undisturbed"))
    allowed.append(held(undisturbed))
    for point, call in enumerate(points):
        for how in ways(call):
            folder = quick_path / f"{point} {how}"
            repository = at(folder)
            interrupted(lambda: change(repository, folder), point=point, how=how)  # noqa: B023 - it runs at once
            assert_sound(repository, folder, allowed)
            repository.write_server_config()
            assert pins(repository) == pins_of_roles(repository)
            assert repository.publish("m", folder / "source", {"run": "r9"}) > max(
                repository.roles("m").last_version - 1, 4
            )
            shutil.rmtree(folder)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_the_disk_refuses_leaves_nothing_behind(begun, quick_path, name):
    change = CHANGES[name]
    shutil.copytree(begun, quick_path / "counted")
    points = count_points(lambda: change(ModelRepository(quick_path / "counted" / "models"), quick_path / "counted"))
    for point, call in enumerate(points):
        for how in set(ways(call)) & {Interruption.NO_SPACE, Interruption.IO_ERROR}:
            folder = quick_path / f"{point} {how}"
            shutil.copytree(begun, folder)
            repository = ModelRepository(folder / "models")
            interrupted(lambda: change(repository, folder), point=point, how=how)  # noqa: B023 - it runs at once
            left = [path for path in (folder / "models").rglob(".*") if path.name != ".lock"]
            assert left == [], f"{how} at {point}, {call}"


@pytest.mark.parametrize("name", ["first", "again"])
def test_a_step_ended_anywhere_shows_no_half_output_and_ends_with_the_same_bytes_when_it_is_done_again(
    quick_path, name
):
    step = StepName.VALIDATE_DATA

    def begun_at(folder: Path):
        home = HomeLayout(folder)
        run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))
        if name == "again":
            _execute(home, run, WritingStep("before"))
        return home, run

    home, run = begun_at(quick_path / "counted")
    settings = {"forecast": {"horizon": 12}} if name == "again" else {}
    points = count_points(lambda: _execute(home, run, WritingStep("series"), **settings))
    for point, call in enumerate(points):
        for how in ways(call):
            home, run = begun_at(quick_path / f"{point} {how}")
            interrupted(lambda: _execute(home, run, WritingStep("series"), **settings), point=point, how=how)  # noqa: B023
            record = load_run(run).steps.get(step)
            if record is not None and record.status == RunStatus.SUCCEEDED:
                verify(run.step(step), STEP_KINDS[step])
            assert _execute(home, run, WritingStep("series"), **settings)
            verify(run.step(step), STEP_KINDS[step])
            assert (run.step(step) / "payload.txt").read_text() == "series"
            assert list(run.root.glob(".*.partial")) == []
            shutil.rmtree(home.root)


def state(step: int) -> TrainingState:
    return TrainingState(step, LoopRecord(step=step), {"weights": (np.full(1_000, step, np.float32),)})


def test_a_checkpoint_ended_anywhere_is_the_new_one_or_the_one_before(quick_path):
    def begun_at(folder: Path) -> CheckpointStore:
        store = CheckpointStore(folder, "k")
        for step in (1, 2, 3):
            store.save(state(step))
        return store

    store = begun_at(quick_path / "counted")
    for point, call in enumerate(count_points(lambda: store.save(state(4)))):
        for how in ways(call):
            kept = begun_at(quick_path / f"{point} {how}")
            interrupted(lambda: kept.save(state(4)), point=point, how=how)  # noqa: B023 - it runs at once
            found = CheckpointStore(quick_path / f"{point} {how}", "k").load()
            assert found is not None
            assert found.step in (3, 4)
            assert set(found.arrays["weights"][0].tolist()) == {float(found.step)}


def test_a_file_that_is_replaced_shows_nothing_before_it_is_whole(tmp_path):
    (tmp_path / "file").write_text("old")
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_change_waits_until_another_process_is_done_with_its_own(begun, quick_path):
    shutil.copytree(begun, quick_path / "home")
    repository = ModelRepository(quick_path / "home" / "models")
    reader, writer = os.pipe()
    with (repository.root / LOCK_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        child = os.fork()
        if not child:
            # A lock belongs to all who have the file open.
            os.close(held.fileno())
            repository.promote("m", 3)
            os.write(writer, b"promoted")
            os._exit(0)
        assert select.select([reader], [], [], 0.5)[0] == []
        assert repository.roles("m").champion == 4
    assert os.read(reader, 8) == b"promoted"
    assert os.waitpid(child, 0)[1] == 0
    assert repository.roles("m").champion == 3


def test_files_that_a_kill_left_half_written_go_after_a_day(begun, quick_path):
    shutil.copytree(begun, quick_path / "home")
    repository = ModelRepository(quick_path / "home" / "models")
    old, young = repository.root / "m" / ".roles.json.1.tmp", repository.root / "m" / "records" / ".4.json.2.tmp"
    for left in (old, young):
        left.write_text("{")
    os.utime(old, (0, 0))
    repository.prune("m", 9)
    assert [left.exists() for left in (old, young)] == [False, True]
