"""A learning curve, ours or a Keras history, and the numbers that its pattern is judged by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

EPOCH_RECORD = "epoch_record"
"""The attribute of a log record of the training loop with the `EpochRecord` that it tells of."""
RECENT_SHARE = 1 / 3
"""Share of the epochs, the last ones, that say whether it still learns."""


@dataclass(frozen=True)
class CurveRecord:
    """Losses of the epochs of one training; no number where they were lost.

    norms, largest_norms: mean and largest norm of the gradients of each epoch, before clipping; empty where not known.
    layers: mean norm of each layer by epoch, before clipping, in the order of the network. n_divergences: how often the loss was lost and steps were retried.
    lost: the training was given up.
    """

    epochs: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]
    norms: tuple[float, ...] = ()
    largest_norms: tuple[float, ...] = ()
    layers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    n_divergences: int = 0
    lost: bool = False

    @property
    def best(self) -> int:
        """Position of the lowest validation loss."""
        return min(range(len(self.validation)), key=lambda i: self.validation[i])


def read_curve(rows: Sequence[Mapping[str, Any]], *, n_divergences: int = 0, lost: bool = False) -> CurveRecord:
    """The curve of `history.json`.

    Args:
        rows: Of each epoch: epoch, train_loss and validation_loss; gradient_norm, gradient_norm_max and layer_norms where known.
        n_divergences: How often the loss was lost and steps were retried.
        lost: Whether the training was given up.
    """
    known = [row for row in rows if row.get("layer_norms")]
    names = list(known[0]["layer_norms"]) if known else []
    return CurveRecord(
        epochs=tuple(int(row["epoch"]) for row in rows),
        train=tuple(_number(row["train_loss"]) for row in rows),
        validation=tuple(_number(row["validation_loss"]) for row in rows),
        norms=tuple(_number(row["gradient_norm"]) for row in rows if "gradient_norm" in row),
        largest_norms=tuple(_number(row["gradient_norm_max"]) for row in rows if "gradient_norm_max" in row),
        layers={name: tuple(_number(row["layer_norms"][name][0]) for row in known) for name in names},
        n_divergences=n_divergences,
        lost=lost,
    )


@dataclass(frozen=True)
class CurveReport:
    """What a curve measures; every ratio is a share of a loss, so that scales do not matter.

    train_fall, validation_fall: from the first epoch to the lowest. rise: of the last validation losses (median of the last
    quarter) above the lowest. later_train_fall: of the training loss after the best epoch. recent_fall: of the lowest
    validation loss over the last third of the epochs. gap, usual_gap, first_gap: validation over training loss at the best epoch, in the median, and in the first.
    jitter, train_jitter: how far a loss goes up and down again in an epoch. spike: largest
    rise of the training loss from one epoch to the next. norm: of the gradients, median over the epochs, 0 where it is not
    known. weakest, strongest: layers by their norm in the second half of the epochs, with its ratio to the others' median.
    """

    n_epochs: int
    best: int
    train_fall: float
    validation_fall: float
    rise: float
    later_train_fall: float
    recent_fall: float
    gap: float
    usual_gap: float
    first_gap: float
    jitter: float
    train_jitter: float
    spike: float
    norm: float
    weakest: tuple[str, float] | None
    strongest: tuple[str, float] | None


def measure_curve(curve: CurveRecord) -> CurveReport:
    """Numbers of a curve of two epochs or more whose losses are all numbers above 0."""
    train, validation, best = curve.train, curve.validation, curve.best
    n = len(train)
    n_recent = math.ceil(n * RECENT_SHARE)
    weakest, strongest = _extreme_layers(curve.layers)
    return CurveReport(
        n_epochs=n,
        best=best,
        train_fall=_fall(train[0], min(train)),
        validation_fall=_fall(validation[0], validation[best]),
        rise=-_fall(validation[best], median(validation[max(best + 1, n - max(2, n // 4)) :] or validation[-1:])),
        later_train_fall=_fall(train[best], train[-1]),
        recent_fall=_fall(min(validation[: n - n_recent]), min(validation)),
        gap=_ratio(validation[best], train[best]),
        usual_gap=median(_ratio(b, a) for a, b in zip(train, validation, strict=True)),
        first_gap=_ratio(validation[0], train[0]),
        jitter=_jitter(validation),
        train_jitter=_swing(train),
        spike=max((_ratio(after, before) - 1 for before, after in pairwise(train)), default=0.0),
        norm=median(curve.norms) if curve.norms else 0.0,
        weakest=weakest,
        strongest=strongest,
    )


def _extreme_layers(
    layers: Mapping[str, tuple[float, ...]],
) -> tuple[tuple[str, float] | None, tuple[str, float] | None]:
    # The second half: a head that begins at zero lets little through to the layers before it at first.
    means = {name: median(norms[len(norms) // 2 :]) for name, norms in layers.items() if norms}
    if len(means) < 2:
        return None, None
    ratios = {
        name: mean / max(median(other for key, other in means.items() if key != name), 1e-30)
        for name, mean in means.items()
    }
    low, high = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
    return (low, ratios[low]), (high, ratios[high])


def _jitter(losses: Sequence[float]) -> float:
    """How far a loss goes up and down again in an epoch, as a share of it: rises before its lowest value, falls after it.

    A course that falls and then rises for good has none.
    """
    lowest = min(range(len(losses)), key=lambda i: losses[i])
    moves = [-_fall(before, after) for before, after in pairwise(losses)]
    against = [max(move, 0.0) for move in moves[:lowest]] + [max(-move, 0.0) for move in moves[lowest:]]
    return 2 * sum(against) / len(moves)


def _swing(losses: Sequence[float]) -> float:
    """How far a loss that should only fall goes up and down again in an epoch, as a share of it."""
    moves = [-_fall(before, after) for before, after in pairwise(losses)]
    up, down = sum(move for move in moves if move > 0), -sum(move for move in moves if move < 0)
    return 2 * min(up, down) / len(moves)


def _fall(before: float, after: float) -> float:
    """By which share of its size a loss fell, negative where it rose; none from a loss of 0, which has no shares."""
    return (before - after) / abs(before) if before else 0.0


def _ratio(loss: float, other: float) -> float:
    return loss / other if other else math.inf if loss else 1.0


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
