"""The patterns of learning curves: which one a training shows, and by what evidence.

The limits were set on half of the runs of tests/benchmarks/diagnose.py; docs/tuning.md says how often they are right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from forecasting.formats import as_number, as_share
from forecasting.learning_curve import CurveRecord, CurveReport, measure_curve


class LearningPattern(StrEnum):
    """What a training looks like from its curves."""

    TOO_SHORT = "too short"
    GOOD_FIT = "good fit"
    OVERFITTING = "over-fitting"
    UNDERFITTING = "under-fitting"
    HIGH_VARIANCE = "high variance"
    UNSTABLE = "unstable"
    DIVERGED = "diverged"
    LEAK = "leak suspected"
    STOPPED_EARLY = "stopped too early"
    VANISHING = "vanishing gradients"
    EXPLODING = "exploding gradients"


@dataclass(frozen=True)
class MeasureRecord:
    """A number that speaks for the pattern, and the limit on whose other side it would not; none where there is none."""

    measure: str
    value: float
    limit: float | None = None


@dataclass(frozen=True)
class DiagnosisReport:
    """pattern: in a word. finding: what the losses did, in a sentence or two. best_epoch: none where no loss is a number."""

    pattern: LearningPattern
    finding: str
    evidence: tuple[MeasureRecord, ...]
    best_epoch: int | None


_LEAST_EPOCHS = 3
_DIVERGED_FACTOR = 10.0
_EXPLODING_NORM = 2.0
_VANISHING_NORM = 1e-3
_SPIKE, _TRAIN_JITTER = 0.3, 0.045
_LEAK_GAP = 0.8
_VARIANCE_GAP, _VARIANCE_JITTER, _LARGE_JITTER = 1.25, 0.03, 0.06
_RISE, _LATER_FALL = 0.05, 0.05
_STILL_FALLING = 0.03
_LITTLE_FALL, _WIDENED = 0.2, 1.25

_Evidence = tuple[MeasureRecord, ...] | None


def diagnose_curve(curve: CurveRecord) -> DiagnosisReport:
    """Name the pattern of a training; the first that fits, from what makes all else meaningless to what is well.

    A gap between the two losses alone says little: they are of different periods, and dropout raises the first. So it
    counts where it widens, where validation jumps besides, or where validation is the lower one by far.

    Args:
        curve: Losses of its epochs, and norms of its gradients where they are known.
    """
    known = [i for i, loss in enumerate(curve.validation) if math.isfinite(loss)]
    if (lost := _lost(curve, known)) is not None:
        return lost
    best = curve.best if known else None
    number = curve.epochs[best] if best is not None else None
    if len(curve.epochs) < _LEAST_EPOCHS:
        said = f"There {'is one epoch' if len(curve.epochs) == 1 else f'are {len(curve.epochs)} epochs'} only, which make no curve."
        return DiagnosisReport(LearningPattern.TOO_SHORT, said, (), number)
    measured = measure_curve(curve)
    fitting = ((pattern, found) for pattern, rule in _RULES if (found := rule(measured)) is not None)
    pattern, evidence = next(fitting, (LearningPattern.GOOD_FIT, _good_fit(measured)))
    return DiagnosisReport(pattern, _say(pattern, curve, measured), evidence, number)


def _lost(curve: CurveRecord, known: list[int]) -> DiagnosisReport | None:
    """The report of a training that was given up or whose losses are no numbers or have grown out of all proportion."""
    finite = [math.isfinite(a) and math.isfinite(b) for a, b in zip(curve.train, curve.validation, strict=True)]
    grown = bool(curve.train) and all(finite) and curve.train[-1] > _DIVERGED_FACTOR * abs(curve.train[0])
    best = min(known, key=lambda i: curve.validation[i]) if known else None
    # Where the loss was lost in the first epoch, its mean over that epoch is no measure of what came later.
    ruined = all(finite) and not curve.lost and curve.n_divergences > 0 and best == 0 and len(known) >= _LEAST_EPOCHS
    if not curve.lost and all(finite) and not (grown or ruined):
        return None
    if not all(finite):
        said = f"The loss is no number from epoch {curve.epochs[finite.index(False)]} on"
    elif grown:
        said = f"The training loss ended at {as_number(curve.train[-1])}, {as_number(curve.train[-1] / curve.train[0])} times what it began with"
    elif ruined:
        said = f"The loss was lost on the way, and in none of {len(known) - 1} epochs after the first did validation come below that"
    else:
        said = (
            f"The loss was lost after epoch {curve.epochs[-1]}"
            if curve.epochs
            else "The loss was lost in the first epoch"
        )
    said += f"; the best epoch {'' if ruined else 'before it '}is {curve.epochs[best]}." if best is not None else "."
    evidence = (MeasureRecord("epochs with losses that are numbers", float(sum(finite))), MeasureRecord("times that the loss was lost", float(curve.n_divergences + curve.lost)))  # fmt: skip
    return DiagnosisReport(LearningPattern.DIVERGED, said, evidence, curve.epochs[best] if best is not None else None)


def _exploding(m: CurveReport) -> _Evidence:
    if m.norm <= _EXPLODING_NORM:
        return None
    strongest = (
        (MeasureRecord(f"norm of {m.strongest[0]} over the middle layer's", m.strongest[1]),) if m.strongest else ()
    )
    return (MeasureRecord("usual norm of the gradients before clipping", m.norm, _EXPLODING_NORM), *strongest)


def _vanishing(m: CurveReport) -> _Evidence:
    if m.weakest is None or m.weakest[1] >= _VANISHING_NORM:
        return None
    return (MeasureRecord(f"norm of {m.weakest[0]} over the middle layer's", m.weakest[1], _VANISHING_NORM),)


def _unstable(m: CurveReport) -> _Evidence:
    if m.spike <= _SPIKE and m.train_jitter <= _TRAIN_JITTER:
        return None
    return (
        MeasureRecord("largest rise of the training loss in an epoch", m.spike, _SPIKE),
        MeasureRecord("mean jump of the training loss", m.train_jitter, _TRAIN_JITTER),
    )


def _leak(m: CurveReport) -> _Evidence:
    # Of a loss that jumps by more, the lowest one is a matter of luck, and so is how far it lies below training.
    if min(m.gap, m.usual_gap) >= _LEAK_GAP or m.jitter > _LARGE_JITTER:
        return None
    return (
        MeasureRecord("validation loss over training loss, usually", m.usual_gap, _LEAK_GAP),
        MeasureRecord("validation loss over training loss, at best", m.gap, _LEAK_GAP),
        MeasureRecord("mean jump of the validation loss", m.jitter, _LARGE_JITTER),
    )


def _high_variance(m: CurveReport) -> _Evidence:
    if m.jitter <= _VARIANCE_JITTER or (m.gap <= _VARIANCE_GAP and m.jitter <= _LARGE_JITTER):
        return None
    return (
        MeasureRecord("validation loss over training loss", m.gap, _VARIANCE_GAP),
        MeasureRecord("mean jump of the validation loss", m.jitter, _VARIANCE_JITTER),
    )


def _overfitting(m: CurveReport) -> _Evidence:
    if m.rise <= _RISE or m.later_train_fall <= _LATER_FALL:
        return None
    return (
        MeasureRecord("rise of the validation loss after its best epoch", m.rise, _RISE),
        MeasureRecord("fall of the training loss after that epoch", m.later_train_fall, _LATER_FALL),
    )


def _stopped_early(m: CurveReport) -> _Evidence:
    if m.recent_fall <= _STILL_FALLING or m.best < m.n_epochs - 2:
        return None
    return (
        MeasureRecord("fall of the validation loss over the last third of the epochs", m.recent_fall, _STILL_FALLING),
    )


def _underfitting(m: CurveReport) -> _Evidence:
    if m.train_fall >= _LITTLE_FALL or m.validation_fall >= _LITTLE_FALL or m.gap > _WIDENED * m.first_gap:
        return None
    return (
        MeasureRecord("fall of the training loss since the first epoch", m.train_fall, _LITTLE_FALL),
        MeasureRecord("fall of the validation loss since the first epoch", m.validation_fall, _LITTLE_FALL),
    )


def _good_fit(m: CurveReport) -> tuple[MeasureRecord, ...]:
    return (
        MeasureRecord("fall of the validation loss since the first epoch", m.validation_fall),
        MeasureRecord("fall of the validation loss over the last third of the epochs", m.recent_fall, _STILL_FALLING),
        MeasureRecord("rise of the validation loss after its best epoch", m.rise, _RISE),
    )


_RULES: tuple[tuple[LearningPattern, Callable[[CurveReport], _Evidence]], ...] = (
    (LearningPattern.EXPLODING, _exploding),
    (LearningPattern.UNSTABLE, _unstable),
    (LearningPattern.VANISHING, _vanishing),
    (LearningPattern.LEAK, _leak),
    (LearningPattern.HIGH_VARIANCE, _high_variance),
    (LearningPattern.OVERFITTING, _overfitting),
    (LearningPattern.STOPPED_EARLY, _stopped_early),
    (LearningPattern.UNDERFITTING, _underfitting),
)


def _say(pattern: LearningPattern, curve: CurveRecord, m: CurveReport) -> str:
    lowest = f"The validation loss was lowest, {as_number(curve.validation[m.best])}, in epoch {curve.epochs[m.best]} of {curve.epochs[-1]}"
    retried = f" The loss was lost {curve.n_divergences} times on the way, and those steps were retried at a lower rate." if curve.n_divergences else ""  # fmt: skip
    return _SENTENCES[pattern](m).format(lowest=lowest) + retried


_SENTENCES: dict[LearningPattern, Callable[[CurveReport], str]] = {
    LearningPattern.EXPLODING: lambda m: f"{{lowest}}. The gradients had a norm of {as_number(m.norm)} as a rule"
    + (f", the largest in {m.strongest[0]}." if m.strongest else "."),
    LearningPattern.VANISHING: lambda m: f"{{lowest}}. Hardly any gradient reaches {m.weakest[0] if m.weakest else ''}: it learns nothing.",
    LearningPattern.UNSTABLE: lambda m: f"{{lowest}}. The training loss has no steady course: it rose by up to {as_share(m.spike)} in an epoch, "
    f"and goes up and down by {as_share(m.train_jitter)} in the mean.",
    LearningPattern.LEAK: lambda m: f"{{lowest}}, and {as_share(min(m.gap, m.usual_gap))} of the training loss: the validation period may be easier, filled in, or known from training.",
    LearningPattern.HIGH_VARIANCE: lambda m: f"{{lowest}}, {as_number(m.gap)} times the training loss, and jumps by {as_share(m.jitter)} from epoch to epoch: "
    "what it comes to is a matter of luck.",
    LearningPattern.OVERFITTING: lambda m: f"{{lowest}} and rose by {as_share(m.rise)} after it, while the training loss fell by another "
    f"{as_share(m.later_train_fall)}: the network went on to learn the training period by heart.",
    LearningPattern.STOPPED_EARLY: lambda m: f"{{lowest}}, and fell by {as_share(m.recent_fall)} over the last third of them: it had not come to its end.",
    LearningPattern.UNDERFITTING: lambda m: f"{{lowest}}. Both losses stayed near where they began: training fell by {as_share(m.train_fall)}, "
    f"validation by {as_share(m.validation_fall)}.",
    LearningPattern.GOOD_FIT: lambda m: f"{{lowest}}, {as_share(m.validation_fall)} below the first epoch, and ended within {as_share(max(m.rise, 0.0))} of it.",
}  # fmt: skip
