"""A disk that is full when a command or a step has to write."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.full_disk import is_full_disk
from forecasting.runs import list_runs, load_run
from pipelines.cluster import workflow_step
from tests.contract.golden_home import PROJECT, GoldenHome, make_golden_home


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[GoldenHome]:
    """Stand-in steps whose home lies on a disk of a megabyte."""
    table = tmp_path / "t.csv"
    table.write_text("time,load\n2026-01-01T00:00:00Z,1\n")
    made = make_golden_home(tmp_path / "golden", table)
    made.layout.root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(made.layout.root)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system of a megabyte here")
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(made.layout.root)], check=True)


def fill(folder: Path) -> Path:
    """Take all room of a disk, by a file that is returned."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as stream:
        for size in (65_536, 4_096, 1):
            with suppress(OSError):
                while True:
                    stream.write(bytes(size))
    return path


def test_a_run_that_finds_no_room_is_to_be_tried_again_and_goes_on_once_there_is(small_home):
    small_home.layout.runs.mkdir(parents=True)
    ballast = fill(small_home.layout.root)
    done = small_home.run("--to", "build_features")
    assert done.returncode == 75, done.stderr
    assert "the disk must have room" in done.stderr.splitlines()[-1]
    assert "bug" not in done.stderr
    ballast.unlink()
    assert small_home.run("--to", "build_features").returncode == 0


def test_a_step_whose_payload_finds_no_room_is_recorded_as_to_be_tried_again(small_home):
    done = small_home.run("--to", "train_model", wish="train_model=fill")
    assert done.returncode == 75, done.stderr
    assert "train_model failed: the disk must have room" in done.stderr.splitlines()[-1]
    record = load_run(list_runs(small_home.layout)[0])
    step = record.steps[StepName.TRAIN_MODEL]
    assert (record.exit_code, step.status, step.exit_code) == (75, RunStatus.FAILED, 75)
    resumed = small_home.almanac("run", "--resume", record.run)
    assert resumed.returncode == 0, resumed.stderr


def test_an_answer_that_finds_no_room_is_no_bug():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "config", "schema"],
            cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 75
    assert done.stderr.startswith("almanac: the disk must have room")


def test_a_task_of_a_workflow_that_finds_no_room_is_to_be_tried_again(monkeypatch, capsys, tmp_path):
    def begin(_parsed: object) -> None:
        Path("/dev/full").write_text("a record")

    monkeypatch.setattr(workflow_step, "_begin", begin)
    words = ["--config", str(tmp_path / "c.yaml"), "--passed", str(tmp_path / "p"), "--run", "r"]
    assert workflow_step.main(["begin", *words]) == 75
    assert capsys.readouterr().err.startswith("almanac: the disk must have room")


def written_to_a_full_device(write: Callable[[str], None]) -> BaseException:
    with pytest.raises(OSError, match=r".") as found:
        write("/dev/full")
    return found.value


def write_arrow(path: str) -> None:
    import pyarrow as pa

    with pa.OSFile(path, "wb") as stream:
        stream.write(b"x" * 100)


def write_python(path: str) -> None:
    with Path(path).open("wb", buffering=0) as stream:
        stream.write(b"x")


def write_numpy(path: str) -> None:
    import numpy as np

    np.zeros(100_000).tofile(path)


@pytest.mark.parametrize("write", [write_python, write_arrow, write_numpy])
def test_the_error_of_each_library_is_known(write):
    assert is_full_disk(written_to_a_full_device(write))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (RuntimeError("Failed to write x.data: No space left on device"), True),
        (RuntimeError("there is no room for doubt"), False),
    ],
)
def test_other_errors_are_no_full_disk(error, full):
    assert is_full_disk(error) is full
