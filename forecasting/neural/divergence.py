"""Watches the loss for what no longer learns: no number, or far above what it was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.config.training import TrainingConfig
from forecasting.feature_store import FeatureStore, WindowIndex

N_RECENT = 100
"""Steps whose median loss an exploded one is compared with."""
MIN_RECENT = 20
"""Steps before the median means anything."""
_N_NAMED = 5


@dataclass(frozen=True)
class WindowRecord:
    """A window: its number among the training windows, its series and its origin (ISO 8601)."""

    number: int
    series: str
    origin: str


@dataclass(frozen=True)
class DivergenceRecord:
    """Where a training went wrong, and what was done: `retried_from_step`, or none where it was given up."""

    step: int
    epoch: int
    loss: str
    reason: str
    learning_rate: float
    windows: tuple[WindowRecord, ...]
    retried_from_step: int | None
    retry_rate_factor: float | None


class DivergedError(Exception):
    """The loss of a step says that the training is lost; caught by the loop."""

    def __init__(self, step: int, loss: float, reason: str) -> None:
        """Of step `step`, from 1."""
        super().__init__(reason)
        self.step, self.loss, self.reason = step, loss, reason


@dataclass(frozen=True)
class LossGuard:
    """The last losses, and how many in a row were too large."""

    recent: tuple[float, ...] = ()
    n_exploded: int = 0

    def after(
        self, losses: Sequence[float], norms: Sequence[float], first: int, training: TrainingConfig
    ) -> "LossGuard":
        """The guard after some steps.

        Args:
            losses: Of consecutive steps.
            norms: Global gradient norms of the same steps.
            first: Number of the first of them, from 1.
            training: The settings.

        Raises:
            DivergedError: One of them ends the attempt.
        """
        recent, n_exploded = list(self.recent), self.n_exploded
        for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=first):
            if not math.isfinite(loss):
                raise DivergedError(step, loss, "its loss is not finite")
            if not math.isfinite(norm):
                raise DivergedError(step, loss, "its gradients are not finite")
            usual = median(recent) if len(recent) >= MIN_RECENT else math.inf
            if loss <= training.explode_factor * usual:
                n_exploded = 0
                recent = [*recent[1 - N_RECENT :], loss]
                continue
            n_exploded += 1
            if n_exploded >= training.explode_steps:
                raise DivergedError(
                    step, loss,
                    f"its loss was above {training.explode_factor:g} times the median of the last {len(recent)} steps "
                    f"({usual:.4g}) for {n_exploded} steps",
                )  # fmt: skip
        return LossGuard(tuple(recent), n_exploded)


def name_windows(store: FeatureStore, windows: WindowIndex, numbers: npt.NDArray[Any]) -> tuple[WindowRecord, ...]:
    """Series and origin of some windows."""
    index, step_s = store.index, store.spec.step_s
    found = []
    for number in np.sort(numbers).tolist():
        owner = int(windows.series[number])
        origin = datetime.fromtimestamp(int(index.start[owner]) + int(windows.age[number]) * step_s, UTC)
        found.append(WindowRecord(int(number), index.ids[owner], origin.isoformat()))
    return tuple(found)


def say_windows(windows: Sequence[WindowRecord]) -> str:
    """The first few of some windows in words."""
    named = ", ".join(f"{one.number} ({one.series!r} from {one.origin})" for one in windows[:_N_NAMED])
    rest = len(windows) - _N_NAMED
    return f"windows {named}{f' and {rest} more' if rest > 0 else ''}"


def say_divergence(record: DivergenceRecord) -> str:
    """Where a training diverged, at which rate and on which windows."""
    return (
        f"training diverged in epoch {record.epoch} at step {record.step}: {record.reason} "
        f"(learning rate {record.learning_rate:.3g}, {say_windows(record.windows)})"
    )


def say_given_up(record: DivergenceRecord, training: TrainingConfig) -> str:
    """What to do when it diverged after the retry too."""
    return (
        f"{say_divergence(record)}, also after a retry at a lower rate; lower training.learning_rate "
        f"({training.learning_rate:g}) or training.clip_norm ({training.clip_norm:g}), or look at these windows"
    )
