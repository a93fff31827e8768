"""What of a pipeline's output reaches the terminal."""

import io
import logging
from pathlib import Path

from forecasting.contracts.steps import StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.progress import (
    ProgressNotes,
    end_line,
    is_progress_line,
    is_start_line,
    note_line,
    shown_steps,
    start_line,
)
from forecasting.runs import RunRecord, StepRecord
from pipelines.terminal import ProgressSieve

STEPS = steps_of()


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


def _record(**values: object) -> StepRecord:
    return StepRecord(StepName.TRAIN_MODEL, RunStatus.SUCCEEDED, started=0.0, duration_s=41.2, **values)


def test_a_result_line_has_position_step_seconds_and_summary() -> None:
    line = end_line(_record(summary="8 epochs"), STEPS)
    assert line.split() == ["[3/9]", "train_model", "41.2", "s", "8", "epochs"]


def test_positions_count_to_the_last_step_asked_for() -> None:
    short = shown_steps(RunRecord("run-1", "toy", 0.0, None, "digest", last_step=StepName.TRAIN_MODEL))
    assert start_line(StepName.REPORT_RUN, short).startswith("[4/4] report_run")
    assert start_line(StepName.VALIDATE_DATA, short).startswith("[1/4] validate_data")


def test_a_search_is_counted_where_a_run_has_one() -> None:
    steps = shown_steps(RunRecord("run-1", "toy", 0.0, None, "digest", optional=(StepName.TUNE_MODEL,)))
    assert start_line(StepName.TUNE_MODEL, steps).startswith("[3/10] tune_model")
    assert start_line(StepName.TRAIN_MODEL, steps).startswith("[4/10] train_model")


def test_lines_are_told_from_what_libraries_print() -> None:
    assert is_start_line(start_line(StepName.TRAIN_MODEL, STEPS))
    assert is_progress_line(end_line(_record(reused_from="r1"), STEPS))
    assert not is_progress_line("[notice] A new release of pip is available")
    assert not is_start_line("downloading …")


def test_a_note_tells_how_far_a_step_has_come_in_one_line() -> None:
    line = note_line(StepName.TRAIN_MODEL, STEPS, "epoch 3/30\nmore")
    assert line.split() == ["[3/9]", "train_model", "epoch", "3/30", "…"]
    assert is_start_line(line)


def test_notes_are_what_a_step_logs_itself_and_not_too_many() -> None:
    shown: list[str] = []
    notes, slow = ProgressNotes(shown.append, every_s=0.0), ProgressNotes(shown.append, every_s=60.0)
    for name, message in (
        ("components.training.train_model", "epoch 1"),
        ("tensorflow", "noise"),
        ("forecasting.neural.loop", "epoch 2"),
    ):
        record = logging.LogRecord(name, logging.INFO, __file__, 1, message, (), None)
        for handler in (notes, slow):
            handler.handle(record)
    assert shown == ["epoch 1", "epoch 2"]


def test_a_note_does_not_begin_the_seconds_of_a_step_anew(tmp_path: Path) -> None:
    with ProgressSieve(tmp_path / "log", Screen()) as sieve:
        sieve.write("[3/9] train_model …\n")
        begun = sieve._running[1]
        sieve.write("[3/9] train_model  epoch 3/30 …\n")
        assert sieve._running == ("[3/9] train_model  epoch 3/30 …", begun)
        sieve.write("[4/9] evaluate_model …\n")
        assert sieve._running[1] > begun


def test_noise_goes_to_the_log_and_lines_cut_in_two_are_joined(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with ProgressSieve(tmp_path / "log", terminal) as sieve:
        sieve.write("    [1/9] validate")
        sieve.write("_data  1.0 s  fine\nnoise\nlast words")
    assert terminal.getvalue() == "[1/9] validate_data  1.0 s  fine\n"
    assert (tmp_path / "log").read_text() == "    [1/9] validate_data  1.0 s  fine\nnoise\nlast words"


def test_on_a_terminal_the_line_of_the_running_step_is_replaced_by_its_result(tmp_path: Path) -> None:
    screen = Screen()
    with ProgressSieve(tmp_path / "log", screen) as sieve:
        sieve.write("[1/9] validate_data …\n")
        sieve.write("[1/9] validate_data  1.0 s  fine\n")
    assert screen.getvalue().endswith("\r\033[K[1/9] validate_data  1.0 s  fine\n")
    assert "…\n" not in screen.getvalue()
