"""What the losses of a training say, on curves whose shape is plain."""

import math

import pytest

from forecasting.learning_curve import LearningState, diagnose_learning


def epochs(train: list[float], validation: list[float]) -> list[dict[str, float]]:
    return [
        {"epoch": i, "train_loss": low, "validation_loss": high}
        for i, (low, high) in enumerate(zip(train, validation, strict=True), start=1)
    ]


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    found = diagnose_learning(epochs([1.0, 0.8, 0.6, 0.4], [1.0, 0.5, 0.6, 0.7]))
    assert found.state is LearningState.OVERFITTING
    assert "lowest, 0.5000, in epoch 2 of 4 and rose by 40.0 %" in found.finding
    assert "the training loss fell by another 50.0 %" in found.finding
    assert "More history" in found.advice


def test_a_validation_loss_that_still_falls_in_the_last_epoch_wants_more_of_them() -> None:
    found = diagnose_learning(
        epochs([1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0])
    )
    assert found.state is LearningState.STILL_LEARNING
    assert "in epoch 8 of 8, the last one, and fell by 33.3 % over the last 1 of them" in found.finding
    assert "training.epochs" in found.advice


def test_a_flat_end_is_converged_and_needs_no_advice() -> None:
    found = diagnose_learning(epochs([1.0, 0.5, 0.41, 0.40, 0.40], [1.0, 0.6, 0.500, 0.501, 0.502]))
    assert (found.state, found.advice) == (LearningState.CONVERGED, "")
    assert "stayed within 0.4 % of it" in found.finding


def test_a_flat_end_whose_last_epoch_is_the_best_is_converged_too() -> None:
    found = diagnose_learning(epochs([1.0, 0.5, 0.41, 0.40], [1.0, 0.501, 0.5005, 0.500]))
    assert found.state is LearningState.CONVERGED


def test_a_validation_loss_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    found = diagnose_learning(epochs([1.0, 0.5, 0.6, 0.7], [1.0, 0.5, 0.6, 0.7]))
    assert found.state is LearningState.CONVERGED


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_loss_that_is_no_number_has_diverged(lost: float | None) -> None:
    rows = epochs([1.0, 0.5, 0.4], [1.0, 0.6, 0.5])
    rows[2]["validation_loss"] = lost
    found = diagnose_learning(rows)
    assert found.state is LearningState.DIVERGED
    assert "no number from epoch 3 on; the best epoch before it, 2 at the latest, was kept" in found.finding
    assert "training.learning_rate" in found.advice


def test_steps_that_were_retried_are_told_of() -> None:
    found = diagnose_learning(epochs([1.0, 0.5, 0.4], [1.0, 0.500, 0.501]), n_divergences=2)
    assert found.finding.endswith("The loss was lost 2 times on the way, and those steps were retried at a lower rate.")
    assert found.advice == "Lower training.learning_rate."


def test_one_epoch_makes_no_curve() -> None:
    assert diagnose_learning(epochs([1.0], [1.0])).state is LearningState.TOO_SHORT


@pytest.mark.parametrize("losses", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.5, 0.0], [1.0, 0.0, 0.1]])
def test_a_target_that_is_learnt_exactly_is_converged(losses: list[float]) -> None:
    found = diagnose_learning(epochs(losses, losses))
    assert (found.state, found.advice) == (LearningState.CONVERGED, "")
    assert found.finding.endswith(
        f"lowest, 0, in epoch {losses.index(0.0) + 1} of 3: it is learnt exactly, and more epochs would not help."
    )


def test_a_training_loss_of_zero_beside_a_validation_loss_is_converged() -> None:
    assert diagnose_learning(epochs([1.0, 0.0, 0.0], [1.0, 0.5, 0.501])).state is LearningState.CONVERGED


def test_a_loss_below_zero_falls_and_rises_by_shares_of_its_size() -> None:
    """Of a likelihood, a loss may be negative."""
    found = diagnose_learning(epochs([-1.0, -2.0, -2.5, -3.0], [-1.0, -2.0, -1.5, -1.0]))
    assert found.state is LearningState.OVERFITTING
    assert "rose by 50.0 % after it, while the training loss fell by another 50.0 %" in found.finding
    found = diagnose_learning(epochs([-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -3.0, -4.0]))
    assert found.state is LearningState.STILL_LEARNING
    assert "fell by 33.3 %" in found.finding
