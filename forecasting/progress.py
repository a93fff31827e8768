"""The lines that a run shows on the terminal: when a step begins, how far it has come, and when it ends."""

import logging
import re
import time
from collections.abc import Callable, Sequence

from forecasting.contracts.steps import StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import RunRecord, StepRecord

_LINE = re.compile(r"\[\d+/\d+\] [a-z_]+ ")
_WIDTH = max(len(step) for step in StepName)
_OWN = ("forecasting.", "components.")
TRANSIENT = "transient"
"""Mark of a log record that is for terminals alone: it is written to no log file."""
_BAR_WIDTH = 20
_BAR_ENDS = ("▕", "▏")
NOTE_EVERY_S = 5.0
"""Seconds between two notes of how far a step has come."""


def start_line(step: StepName, steps: Sequence[StepName]) -> str:
    """What is shown when a step begins; see `shown_steps`."""
    return f"{_position(step, steps)} {step.value:<{_WIDTH}} …"


def note_line(step: StepName, steps: Sequence[StepName], text: str) -> str:
    """What is shown of a step that takes longer: how far it has come."""
    return f"{_position(step, steps)} {step.value:<{_WIDTH}}  {text.splitlines()[0]} …"


class ProgressNotes(logging.Handler):
    """Shows what a step logs of its own, at most one line in `every_s` seconds, so that quick steps stay quiet."""

    def __init__(self, show: Callable[[str], None], *, every_s: float = NOTE_EVERY_S) -> None:
        """Show texts by a function."""
        super().__init__(logging.INFO)
        self._show, self._every_s, self._shown = show, every_s, time.monotonic()
        self.addFilter(lambda record: record.name.startswith(_OWN))

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message, if it is time again."""
        now = time.monotonic()
        if now - self._shown >= self._every_s:
            self._shown = now
            self._show(record.getMessage())


def end_line(record: StepRecord, steps: Sequence[StepName], *, kept: bool = False) -> str:
    """What is shown when a step has ended: its seconds, and its result in one line.

    Args:
        record: The step.
        steps: Those of the run, see `shown_steps`.
        kept: Whether this run had done the step before it was stopped.
    """
    return f"{_position(record.step, steps)} {record.step.value:<{_WIDTH}} {_result(record, kept)}"


def is_progress_line(line: str) -> bool:
    """Whether a line of a step's output is one of the above."""
    return _LINE.match(line) is not None


def is_start_line(line: str) -> bool:
    """Whether a line says that a step has begun, or how far it has come."""
    return is_progress_line(line) and line.rstrip().endswith("…")


def bar(share: float) -> str:
    """A bar that is filled to a share between 0 and 1, and the share in per cent."""
    n_filled = round(_BAR_WIDTH * share)
    left, right = _BAR_ENDS
    return f"{left}{'█' * n_filled}{'░' * (_BAR_WIDTH - n_filled)}{right} {100 * share:.0f} %"


def is_bar_line(line: str) -> bool:
    """Whether a line holds a bar: it is for a terminal that can write over it."""
    return all(end in line for end in _BAR_ENDS)


def shown_steps(run: RunRecord) -> tuple[StepName, ...]:
    """The steps that a run counts: those up to its last, and the report."""
    steps = steps_of(run.optional)
    return (*steps[: steps.index(run.last_step) + 1], StepName.REPORT_RUN)


def _position(step: StepName, steps: Sequence[StepName]) -> str:
    # `almanac step` may do a step that lies behind the last one of the run.
    position = steps.index(step) + 1 if step in steps else len(steps)
    return f"[{position}/{len(steps)}]"


def _result(record: StepRecord, kept: bool) -> str:
    took = f"{record.duration_s:6.1f} s"
    if kept:
        return f"{'':8}  done already: {record.summary}"
    match record.status:
        case RunStatus.SUCCEEDED if record.reused:
            return f"{'':8}  unchanged, reused from {record.reused_from}"
        case RunStatus.REFUSED if record.reused:
            return f"{'':8}  unchanged, refused as in {record.reused_from}: {record.summary}"
        case RunStatus.SUCCEEDED:
            return f"{took}  {record.summary}"
        case RunStatus.REFUSED:
            return f"{took}  refused: {record.summary}"
        case RunStatus.STOPPED:
            return f"{took}  stopped"
        case _:
            return f"{took}  failed: {record.error or record.error_type}"
