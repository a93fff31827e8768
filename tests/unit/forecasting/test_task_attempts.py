"""A task that failed for good, on a backend that tries again whatever failed."""

import errno

import pytest

from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.task_attempts import NOTES_DIR, TaskAttempt


class Task:
    """Counts how often it is really done, and fails with an error while it has one."""

    def __init__(self, home: HomeLayout, error: Exception | None, *, retries: int = 2) -> None:
        self.home, self.error, self.retries, self.n_done = home, error, retries, 0

    def attempt(self, run: str = "one") -> None:
        with TaskAttempt(self.home, "begin_run", run, self.retries):
            self.n_done += 1
            if self.error is not None:
                raise self.error

    def code(self, run: str = "one") -> int:
        with pytest.raises(SystemExit) as ended:
            self.attempt(run)
        return int(ended.value.code)


@pytest.fixture
def home(tmp_path) -> HomeLayout:
    return HomeLayout(tmp_path)


def test_a_failure_for_good_ends_the_retries_of_the_backend_at_once_and_a_later_one_does_the_task(home, capsys):
    task = Task(home, ConfigError("the cutoff must be a time, found 'yesterday'"))
    assert [task.code() for _ in range(3)] == [2, 2, 2]
    assert task.n_done == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "almanac: begin_run: the cutoff must be a time, found 'yesterday'"
    assert (
        shown[1:]
        == [
            "almanac: begin_run: is not tried again, it would fail in the same way: the cutoff must be a time, found 'yesterday'"
        ]
        * 2
    )
    task.error = None
    task.attempt()
    assert task.n_done == 2


def test_what_may_pass_is_tried_again(home):
    task = Task(home, RetryableError("another run is going"))
    assert [task.code(), task.code()] == [75, 75]
    task.error = None
    task.attempt()
    assert task.n_done == 3
    assert not (home.root / NOTES_DIR).exists()


def test_a_full_disk_may_pass_as_it_may_for_a_step(home, capsys):
    task = Task(home, OSError(errno.ENOSPC, "No space left on device", "run.json"))
    assert [task.code(), task.code()] == [75, 75]
    assert task.n_done == 2
    assert "begin_run: the disk must have room, which run.json needs" in capsys.readouterr().err


def test_a_bug_goes_on_as_it_is_and_is_not_tried_again(home):
    task = Task(home, ZeroDivisionError("division by zero"))
    with pytest.raises(ZeroDivisionError):
        task.attempt()
    assert (task.code(), task.n_done) == (1, 1)


def test_a_process_that_is_told_to_end_says_nothing_of_the_task(home):
    with pytest.raises(KeyboardInterrupt), TaskAttempt(home, "begin_run", "one", 2):
        raise KeyboardInterrupt
    assert not (home.root / NOTES_DIR).exists()


def test_the_attempts_of_another_workflow_are_its_own(home):
    task = Task(home, ConfigError("wrong"))
    assert [task.code("one"), task.code("two")] == [2, 2]
    assert task.n_done == 2


def test_without_retries_nothing_is_left_behind(home):
    task = Task(home, ConfigError("wrong"), retries=0)
    assert [task.code(), task.code()] == [2, 2]
    assert task.n_done == 2
    assert not (home.root / NOTES_DIR).exists()


def test_a_name_that_is_no_name_of_a_file_stays_in_the_home(home):
    Task(home, ConfigError("wrong")).code("../../elsewhere")
    assert [path.parent for path in home.root.rglob("*.json")] == [home.root / NOTES_DIR]


def test_a_note_that_cannot_be_read_says_what_to_do(home):
    task = Task(home, ConfigError("wrong"))
    task.code()
    (note,) = (home.root / NOTES_DIR).iterdir()
    note.write_text("{")
    with pytest.raises(ArtifactError, match=r"is no record of a failed task: .*; remove it"):
        task.attempt()
