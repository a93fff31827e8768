"""Patterns of learning curves whose shape is plain; real trainings are judged in tests/unit/benchmarks."""

import math
from pathlib import Path

import pytest

from forecasting.config import load_config
from forecasting.learning_curve import CurveRecord, read_curve
from forecasting.learning_patterns import LearningPattern, diagnose_curve
from forecasting.learning_remedies import REMEDIES, ChangeSpec


def curve(train: list[float], validation: list[float], **known: object) -> CurveRecord:
    return CurveRecord(tuple(range(1, len(train) + 1)), tuple(train), tuple(validation), **known)


FALLING = [1.0, 0.6, 0.45, 0.4, 0.38, 0.37, 0.37, 0.37]
STEADY = [1.1, 0.7, 0.55, 0.5, 0.485, 0.481, 0.482, 0.481]


@pytest.mark.parametrize(
    ("pattern", "train", "validation"),
    [
        (LearningPattern.GOOD_FIT, FALLING, STEADY),
        (LearningPattern.OVERFITTING, [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [1.0, 0.7, 0.6, 0.58, 0.6, 0.63, 0.66, 0.7]),
        (LearningPattern.UNDERFITTING, [1.0, 0.98, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97], [1.1, 1.08, 1.07, 1.07, 1.07, 1.07, 1.07, 1.07]),
        (LearningPattern.HIGH_VARIANCE, FALLING, [1.5, 1.1, 1.3, 0.9, 1.2, 0.8, 1.1, 0.9]),
        (LearningPattern.UNSTABLE, [1.0, 0.5, 1.2, 0.6, 1.4, 0.5, 1.1, 0.7], STEADY),
        (LearningPattern.LEAK, FALLING, [0.4, 0.3, 0.25, 0.2, 0.19, 0.19, 0.19, 0.19]),
        (LearningPattern.STOPPED_EARLY, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], [1.1, 1.0, 0.9, 0.8, 0.7, 0.6]),
    ],
)  # fmt: skip
def test_a_plain_curve_is_named(pattern: LearningPattern, train: list[float], validation: list[float]) -> None:
    found = diagnose_curve(curve(train, validation))
    assert found.pattern is pattern
    assert found.evidence


def test_a_pattern_comes_with_the_numbers_that_speak_for_it() -> None:
    found = diagnose_curve(curve([1.0, 0.5, 0.35, 0.25], [1.0, 0.5, 0.6, 0.6]))
    assert found.pattern is LearningPattern.OVERFITTING
    assert found.best_epoch == 2
    assert "lowest, 0.5000, in epoch 2 of 4 and rose by 20.0 % after it" in found.finding
    assert "the training loss fell by another 50.0 %" in found.finding
    assert [(one.measure, round(one.value, 6)) for one in found.evidence] == [
        ("rise of the validation loss after its best epoch", 0.2),
        ("fall of the training loss after that epoch", 0.5),
    ]


def test_a_validation_loss_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    found = diagnose_curve(curve([1.0, 0.5, 0.51, 0.52, 0.53], [1.0, 0.5, 0.51, 0.52, 0.53]))
    assert found.pattern is LearningPattern.GOOD_FIT


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_loss_that_is_no_number_has_diverged(lost: float | None) -> None:
    rows = [{"epoch": i, "train_loss": 1 / i, "validation_loss": 1 / i} for i in (1, 2, 3)]
    rows[2]["validation_loss"] = lost
    found = diagnose_curve(read_curve(rows))
    assert found.pattern is LearningPattern.DIVERGED
    assert found.finding == "The loss is no number from epoch 3 on; the best epoch before it is 2."


def test_a_training_that_was_given_up_has_diverged_although_its_epochs_are_numbers() -> None:
    assert diagnose_curve(curve(FALLING, STEADY, lost=True)).pattern is LearningPattern.DIVERGED
    assert diagnose_curve(CurveRecord((), (), (), lost=True)).finding == "The loss was lost in the first epoch."


def test_a_loss_that_has_grown_tenfold_has_diverged() -> None:
    assert diagnose_curve(curve([1.0, 2.0, 11.0], [1.0, 2.0, 11.0])).pattern is LearningPattern.DIVERGED


def test_a_loss_that_was_lost_at_once_and_never_came_below_its_first_epoch_again_has_diverged() -> None:
    ruined = curve([2000.0, 33.0, 51.0, 46.0], [39.0, 49.0, 70.0, 50.0], n_divergences=1)
    found = diagnose_curve(ruined)
    assert found.pattern is LearningPattern.DIVERGED
    assert found.finding == (
        "The loss was lost on the way, and in none of 3 epochs after the first did validation come below that; "
        "the best epoch is 1."
    )


def test_a_validation_loss_that_jumps_speaks_of_no_leak_where_it_is_low() -> None:
    found = diagnose_curve(curve(FALLING, [0.3, 0.5, 0.3, 0.5, 0.25, 0.5, 0.3, 0.4]))
    assert found.pattern is LearningPattern.HIGH_VARIANCE


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_two_epochs_make_no_curve(n_epochs: int) -> None:
    assert diagnose_curve(curve(FALLING[:n_epochs], STEADY[:n_epochs])).pattern is LearningPattern.TOO_SHORT


def test_a_layer_that_gets_no_gradient_is_named() -> None:
    layers = {"first": (1e-6,) * 8, "second": (0.1,) * 8, "third": (0.2,) * 8}
    found = diagnose_curve(curve(FALLING, STEADY, layers=layers))
    assert found.pattern is LearningPattern.VANISHING
    assert found.evidence[0].measure == "norm of first over the middle layer's"
    assert found.evidence[0].value == pytest.approx(1e-6 / 0.15)


def test_layers_behind_a_head_that_begins_at_zero_are_not_held_against_it() -> None:
    layers = {"first": (1e-9, 1e-9, 1e-9, 0.05, 0.1, 0.1, 0.1, 0.1), "second": (0.1,) * 8, "third": (0.2,) * 8}
    assert diagnose_curve(curve(FALLING, STEADY, layers=layers)).pattern is LearningPattern.GOOD_FIT


def test_gradients_that_explode_are_told_with_their_largest_layer() -> None:
    layers = {"first": (50.0,) * 8, "second": (1.0,) * 8, "third": (2.0,) * 8}
    found = diagnose_curve(curve(FALLING, STEADY, norms=(51.0,) * 8, layers=layers))
    assert found.pattern is LearningPattern.EXPLODING
    assert "the largest in first" in found.finding


def test_steps_that_were_retried_are_told_of() -> None:
    assert "lost 2 times" in diagnose_curve(curve(FALLING, STEADY, n_divergences=2)).finding


def test_losses_of_zero_are_a_good_fit() -> None:
    assert diagnose_curve(curve([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])).pattern is LearningPattern.GOOD_FIT


def test_every_pattern_has_remedies_whose_paths_are_settings() -> None:
    document = load_config(Path("pipelines/configs/electricity.yaml")).model_dump()
    of_other_kinds = {"model.truncate_steps", "model.seeds"}
    for pattern in LearningPattern:
        paths = {path for remedy in REMEDIES[pattern] for path in remedy.paths}
        paths |= {change.path for remedy in REMEDIES[pattern] for change in remedy.automatic}
        assert paths, pattern
        for path in sorted(paths - of_other_kinds):
            section, *names = path.split(".")
            found = document[section]
            for name in names:
                assert name in found, path
                found = found[name]


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (ChangeSpec("training.learning_rate", times=0.5), 0.003, 0.0015),
        (ChangeSpec("model.dropout", plus=0.2, most=0.5), 0.4, 0.5),
        (ChangeSpec("model.units", times=0.5, least=8), 12, 8),
        (ChangeSpec("model.units", times=2), (64, 32), [128, 64]),
        (ChangeSpec("training.clip", value="global_norm"), "none", "global_norm"),
        (ChangeSpec("training.batch_size", times=2), "auto", "auto"),
    ],
)
def test_an_automatic_change_stays_in_its_bounds(change: ChangeSpec, before: object, after: object) -> None:
    assert change.changed(before) == after
