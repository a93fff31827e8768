"""What to change where a training shows a pattern: settings by path, and how far the automatic remedy moves them."""

from dataclasses import dataclass
from typing import Any

from forecasting.learning_patterns import LearningPattern


@dataclass(frozen=True)
class ChangeSpec:
    """A change of one setting that needs nobody's judgement.

    times, plus: what the present value becomes; value: in its place. least, most: bounds of what comes out.
    """

    path: str
    times: float = 1.0
    plus: float = 0.0
    value: Any = None
    least: float = 0.0
    most: float = float("inf")

    def changed(self, before: Any) -> Any:
        """The new value of a setting, of each width where it has several; the old one where it is no number."""
        if self.value is not None:
            return self.value
        if isinstance(before, tuple | list):
            return [self.changed(width) for width in before]
        if isinstance(before, bool) or not isinstance(before, int | float):
            return before
        after = min(max(before * self.times + self.plus, self.least), self.most)
        return round(after) if isinstance(before, int) else float(f"{after:.6g}")


@dataclass(frozen=True)
class RemedySpec:
    """A remedy. paths: settings by path. change: what to do with them. automatic: for `training.auto_remedy`; none where a person must decide."""

    paths: tuple[str, ...]
    change: str
    automatic: tuple[ChangeSpec, ...] = ()


_SLOWER = RemedySpec(
    ("training.learning_rate",), "lower it to a third", (ChangeSpec("training.learning_rate", times=1 / 3),)
)
_CLIPPED = RemedySpec(
    ("training.clip", "training.clip_norm"), "clip gradients by their global norm, to 1 or less",
    (ChangeSpec("training.clip", value="global_norm"), ChangeSpec("training.clip_norm", value=1.0)),
)  # fmt: skip
_DROPOUT = RemedySpec(
    ("model.dropout", "model.segment_dropout", "model.recurrent_dropout"), "more dropout, up to 0.5",
    (ChangeSpec("model.dropout", plus=0.2, most=0.5), ChangeSpec("model.segment_dropout", plus=0.2, most=0.5)),
)  # fmt: skip
_PENALTY = RemedySpec(
    ("training.l2", "training.weight_decay"), "penalise large weights: l2 of 1e-5 to 1e-3, or ten times the weight decay",
    (ChangeSpec("training.l2", times=10, least=1e-4, most=1e-2), ChangeSpec("training.weight_decay", times=10, most=0.3)),
)  # fmt: skip
_NOISE = RemedySpec(
    ("training.augmentation.noise", "training.augmentation.scaling"), "noise on the inputs",
    (ChangeSpec("training.augmentation.noise", plus=0.1, most=0.5),),
)  # fmt: skip
_LONGER = RemedySpec(
    ("training.max_epochs", "training.patience"), "twice the epochs, and more patience",
    (ChangeSpec("training.max_epochs", times=2), ChangeSpec("training.patience", plus=2)),
)  # fmt: skip

REMEDIES: dict[LearningPattern, tuple[RemedySpec, ...]] = {
    LearningPattern.TOO_SHORT: (_LONGER,),
    LearningPattern.GOOD_FIT: (
        RemedySpec(("training.max_epochs",), "keep it and record it as the baseline; a few more epochs may still gain a little"),
    ),
    LearningPattern.OVERFITTING: (
        _DROPOUT,
        _PENALTY,
        RemedySpec(("model.units", "model.layers", "model.head_units"), "fewer units or layers",
                   (ChangeSpec("model.units", times=0.5, least=8), ChangeSpec("model.head_units", times=0.5, least=8))),
        _NOISE,
        RemedySpec(("data.uri", "split.validation", "split.test"), "more history, or shorter validation and test periods, so that there is more to learn from"),
    ),
    LearningPattern.UNDERFITTING: (
        RemedySpec(("training.learning_rate",), "ten times the rate, 1e-3 to 1e-2", (ChangeSpec("training.learning_rate", times=10, least=1e-3, most=1e-2),)),
        RemedySpec(("model.units", "model.layers", "model.head_units"), "more units or layers",
                   (ChangeSpec("model.units", times=2, least=16, most=512), ChangeSpec("model.head_units", times=2, least=16, most=512))),
        RemedySpec(("training.l2", "training.weight_decay", "model.dropout"), "less that holds the weights back",
                   (ChangeSpec("training.l2", times=0.0), ChangeSpec("model.dropout", times=0.5))),
        _LONGER,
        RemedySpec(("features.derived", "features.calendar", "features.fourier", "data.known", "forecast.context"), "richer features, or a longer context"),
    ),
    LearningPattern.HIGH_VARIANCE: (
        RemedySpec(("training.ema",), "average the weights over more steps", (ChangeSpec("training.ema", value=0.99),)),
        _SLOWER,
        _DROPOUT,
        _PENALTY,
        RemedySpec(("training.patience",), "stop early"),
        RemedySpec(("backtest.folds", "tuning.folds"), "judge by several folds of cross-validation, not by one validation period"),
        RemedySpec(("model.kind", "model.seeds"), "an ensemble: the mean of five seeds"),
        RemedySpec(("split.validation",), "a longer validation period"),
    ),
    LearningPattern.UNSTABLE: (
        _CLIPPED,
        _SLOWER,
        RemedySpec(("training.batch_size",), "another batch: 16, 32 or 64", (ChangeSpec("training.batch_size", value=64),)),
        RemedySpec(("training.warmup_steps", "training.schedule"), "a longer warm-up, and a rate that falls",
                   (ChangeSpec("training.warmup_steps", plus=100), ChangeSpec("training.schedule", value="cosine"))),
        RemedySpec(("features.scaling", "features.target_scaling"), "scale what has rare large values"),
    ),
    LearningPattern.DIVERGED: (
        _CLIPPED,
        RemedySpec(("training.learning_rate",), "a tenth of the rate", (ChangeSpec("training.learning_rate", times=0.1),)),
        RemedySpec(("training.optimizer",), "adamw, which takes steps of a known size", (ChangeSpec("training.optimizer", value="adamw"),)),
        RemedySpec(("training.warmup_steps",), "a longer warm-up", (ChangeSpec("training.warmup_steps", plus=100),)),
        RemedySpec(("features.scaling", "validation.ranges"), "look for values far outside the usual range in the table"),
    ),
    LearningPattern.LEAK: (
        RemedySpec(("data.known", "data.observed"), "known may hold only what is known when a forecast is made; all else is observed"),
        RemedySpec(("split.embargo",), "leave a horizon out between the periods"),
        RemedySpec(("split.validation", "validation.imputation"), "look whether the validation period is filled in, repeated or quieter than the one before it"),
        RemedySpec(("model.dropout", "training.augmentation.noise"), "if nothing leaks, what is done to training alone is too strong"),
    ),
    LearningPattern.STOPPED_EARLY: (
        _LONGER,
        RemedySpec(("training.learning_rate",), "twice the rate", (ChangeSpec("training.learning_rate", times=2, most=1e-2),)),
    ),
    LearningPattern.VANISHING: (
        RemedySpec(("model.normalisation",), "normalise what goes into each layer", (ChangeSpec("model.normalisation", value="layer"),)),
        RemedySpec(("training.optimizer",), "adamw, which gives each weight a step of its own size", (ChangeSpec("training.optimizer", value="adamw"),)),
        RemedySpec(("model.units", "model.layers"), "fewer layers"),
        RemedySpec(("model.kind", "forecast.segment", "forecast.context"), "a model over segments: gradients then pass through few steps"),
        RemedySpec(("training.precision",), "float32, in which small gradients are not lost", (ChangeSpec("training.precision", value="float32"),)),
    ),
    LearningPattern.EXPLODING: (
        _CLIPPED,
        _SLOWER,
        RemedySpec(("model.normalisation",), "normalise what goes into each layer", (ChangeSpec("model.normalisation", value="layer"),)),
        RemedySpec(("model.truncate_steps", "model.kind"), "let gradients flow through fewer steps, or take a model over segments"),
        RemedySpec(("features.scaling",), "scale what has rare large values"),
    ),
}  # fmt: skip
"""Of each pattern, the remedy that helps most often first."""
