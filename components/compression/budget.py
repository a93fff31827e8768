"""The time that compress_model may take: what is gone, what is left, and what a fine-tuning will take of it."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forecasting.manifests import write_text_atomically

logger = logging.getLogger(__name__)

_WRITE_EVERY_S = 1.0
_NOTE_EVERY = 50
"""Steps between two notes of how far a fine-tuning has come."""
_LEAST_STEPS = 10
"""Measured steps from which on they are trusted more than those of the training."""
_COMPILE_S = 6.0
"""What the fine-tuning of a network takes besides its steps, about: tracing, scoring, finding out what matters.
The default model takes 2 CPU seconds, and up to 5 where three others want the processor."""
_BUILD_S = 0.5
"""What it takes to build a network in order to score it."""
_TEACHER_COMPILE_S = 2.0
_ANSWER_SHARE = 1 / 3
"""Of the time of a training step, what answering its windows takes."""


class BudgetClock:
    """Seconds that the step has taken, those included that runs of it took which were stopped: they outlive the process."""

    def __init__(self, budget_s: float, path: Path, *, began: float) -> None:
        """Go on from what the file tells.

        Args:
            budget_s: Seconds that the step may take in all.
            path: Where the seconds are kept.
            began: When this process began with the step, by `time.monotonic`.
        """
        self.budget_s, self._path, self._began = budget_s, path, began
        self._before = float(json.loads(path.read_text(encoding="utf-8"))["spent_s"]) if path.exists() else 0.0
        self._written = -math.inf

    def elapsed_s(self) -> float:
        """Seconds that are gone."""
        return self._before + time.monotonic() - self._began

    def left_s(self) -> float:
        """Seconds that remain, 0 where none do."""
        return max(0.0, self.budget_s - self.elapsed_s())

    def keep(self) -> None:
        """Write the seconds that are gone, at most once a second; to be called often."""
        now = time.monotonic()
        if now - self._written >= _WRITE_EVERY_S:
            self._written = now
            write_text_atomically(self._path, json.dumps({"spent_s": round(self.elapsed_s(), 2)}))


class TuningPace:
    """What fine-tuning takes: by the steps of the training at first, then by those that were done here."""

    def __init__(self, clock: BudgetClock, *, step_s: float, batch_size: int) -> None:
        """Begin with a guess.

        Args:
            clock: Is kept at every step.
            step_s: Seconds of a step, from the training.
            batch_size: Windows of a step.
        """
        self._clock, self._guess_s, self._batch_size = clock, step_s, batch_size
        self._total_s, self._n, self._last = 0.0, 0, 0.0

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        return self._total_s / self._n if self._n >= _LEAST_STEPS else self._guess_s

    def watch(self, what: str, n_steps: int) -> Callable[[int], None]:
        """To be called after every step with its number, from 1 on in each round.

        Args:
            what: What is done, for the log.
            n_steps: Steps of a round.
        """

        def after_step(number: int) -> None:
            now = time.monotonic()
            # The first step of a round is traced.
            if number > 1:
                self._total_s, self._n = self._total_s + now - self._last, self._n + 1
            self._last = now
            self._clock.keep()
            if number % _NOTE_EVERY == 0:
                logger.info("%s: step %d of %d", what, number, n_steps)

        return after_step

    def estimate_s(self, n_steps: int, *, n_windows: int = 0) -> float:
        """Seconds of a fine-tuning.

        Args:
            n_steps: Its steps.
            n_windows: Windows that are drawn from where a teacher answers those that are drawn; 0: there is no teacher.
        """
        return _COMPILE_S + n_steps * self.step_s + self._taught_s(n_steps, n_windows)

    def estimate_scoring_s(self, n_networks: int, *, n_windows: int) -> float:
        """Seconds of building some networks and counting the loss of each.

        Args:
            n_networks: How many.
            n_windows: Windows that each answers.
        """
        return n_networks * (_BUILD_S + n_windows / self._batch_size * _ANSWER_SHARE * self.step_s)

    def _taught_s(self, n_steps: int, n_windows: int) -> float:
        """Seconds of the answers of a teacher."""
        if not n_windows:
            return 0.0
        # Draws are with replacement, and each window is answered once.
        n_answered = n_windows * -math.expm1(-n_steps * self._batch_size / n_windows)
        return _TEACHER_COMPILE_S + n_answered / self._batch_size * _ANSWER_SHARE * self.step_s


def seconds_per_step(report: Mapping[str, Any], *, max_steps_per_epoch: int | None) -> float:
    """CPU seconds of a training step, from the report of the training; 0 where it does not say.

    Args:
        report: report.json of train_model.
        max_steps_per_epoch: `training.max_steps_per_epoch`.
    """
    n_steps = report.get("n_train_windows", 0) // max(1, report.get("batch_size", 1))
    n_steps = report.get("n_epochs", 0) * min(n_steps, max_steps_per_epoch or n_steps)
    return float(report.get("cpu_s", 0.0) / n_steps) if n_steps else 0.0
