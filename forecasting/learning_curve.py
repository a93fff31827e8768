"""What the losses of a training say: whether it had enough epochs, learnt by heart, or lost its way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forecasting.formats import as_number, as_share

EPOCH_RECORD = "epoch_record"
"""The attribute of a log record of the training loop with the `EpochRecord` that it tells of."""
_STEADY_RATIO = 0.005
"""A change of loss by less than this share counts as none."""
_APART_RATIO = 0.01
"""From this share above its best on, a validation loss counts as risen."""
_RECENT_SHARE = 0.25
"""Share of the epochs, the last ones, that say whether it still learns."""


class LearningState(StrEnum):
    """What a learning curve looks like."""

    TOO_SHORT = "too short"
    DIVERGED = "diverged"
    STILL_LEARNING = "still learning"
    OVERFITTING = "overfits after the best epoch"
    CONVERGED = "converged"


@dataclass(frozen=True)
class LearningReport:
    """state: in a word. finding: what the losses did. advice: what may help; empty where nothing needs to be done."""

    state: LearningState
    finding: str
    advice: str


def diagnose_learning(epochs: Sequence[Mapping[str, Any]], *, n_divergences: int = 0) -> LearningReport:
    """Read a learning curve as a person would.

    Losses of training and validation are not compared with each other: they are of different periods, and dropout makes
    the first one larger than the network deserves. Only what each does over the epochs counts.

    Args:
        epochs: Rows of history.json: epoch, train_loss and validation_loss.
        n_divergences: How often the loss was lost and steps were retried.
    """
    train = [_number(row["train_loss"]) for row in epochs]
    validation = [_number(row["validation_loss"]) for row in epochs]
    known = [i for i, loss in enumerate(validation) if math.isfinite(loss)]
    if len(known) < len(epochs) or not all(map(math.isfinite, train)):
        return _diverged(epochs, known)
    if len(epochs) < 2:
        return LearningReport(LearningState.TOO_SHORT, "There is one epoch only, which makes no curve.", "")
    best = min(known, key=lambda i: validation[i])
    found = _finished(epochs, train, validation, best)
    if n_divergences:
        retried = f" The loss was lost {n_divergences} times on the way, and those steps were retried at a lower rate."
        return LearningReport(found.state, found.finding + retried, found.advice or "Lower training.learning_rate.")
    return found


def _finished(
    epochs: Sequence[Mapping[str, Any]], train: list[float], validation: list[float], best: int
) -> LearningReport:
    last = len(epochs) - 1
    rise = -_fall(validation[best], validation[last])
    fall = _fall(train[best], train[last])
    best_said = f"The validation loss was lowest, {as_number(validation[best])}, in epoch {epochs[best]['epoch']} of {epochs[last]['epoch']}"
    if validation[best] == 0:
        return LearningReport(
            LearningState.CONVERGED, f"{best_said}: it is learnt exactly, and more epochs would not help.", ""
        )
    if best < last and rise > _APART_RATIO and fall > _STEADY_RATIO:
        return LearningReport(
            LearningState.OVERFITTING,
            f"{best_said} and rose by {as_share(rise)} after it, while the training loss fell by another {as_share(fall)}: "
            "the network went on to learn the training period by heart.",
            "The best epoch was taken. More history, more dropout or a smaller network may lower the best loss itself.",
        )
    recent = min(last - 1, math.floor(len(epochs) * (1 - _RECENT_SHARE)))
    gain = _fall(min(validation[: recent + 1]), validation[best])
    if best == last and gain > _STEADY_RATIO:
        return LearningReport(
            LearningState.STILL_LEARNING,
            f"{best_said}, the last one, and fell by {as_share(gain)} over the last {last - recent} of them: it had not come to its end.",
            "More epochs (training.epochs) would lower it further.",
        )
    after = f" and stayed within {as_share(max(rise, 0.0))} of it after that" if best < last else ", the last one"
    return LearningReport(LearningState.CONVERGED, f"{best_said}{after}: more epochs would not help.", "")


def _fall(before: float, after: float) -> float:
    """By which share of its size a loss fell, negative where it rose; none from a loss of 0, which has no shares."""
    return (before - after) / abs(before) if before else 0.0


def _diverged(epochs: Sequence[Mapping[str, Any]], known: list[int]) -> LearningReport:
    lost = next(i for i, row in enumerate(epochs) if not _finite(row))
    kept = f"; the best epoch before it, {epochs[known[-1]]['epoch']} at the latest, was kept" if known else ""
    return LearningReport(
        LearningState.DIVERGED,
        f"The loss is no number from epoch {epochs[lost]['epoch']} on{kept}.",
        "Lower training.learning_rate, and look for values far outside the usual range in the table.",
    )


def _finite(row: Mapping[str, Any]) -> bool:
    return math.isfinite(_number(row["train_loss"])) and math.isfinite(_number(row["validation_loss"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
