"""Remedies one at a time: what helps is kept, what does not is dropped; four faults planted into real trainings."""

import json
from pathlib import Path

import pytest

from components.training.remedies import MOST_REMEDIES, FittedNetwork, fit_with_remedies
from forecasting.config import step_settings
from forecasting.config.root import TrainModelSettings
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, ModelRefusedError
from forecasting.neural.fit_plan import FitReport
from forecasting.neural.watch import EpochRecord
from tests.unit.training.small_run import ensemble_config, make_small_run, small_config

OVERFITTING = [(1.0, 1.0), (0.7, 0.7), (0.5, 0.6), (0.4, 0.62), (0.3, 0.65), (0.25, 0.7)]
GOOD = [(1.0, 0.8), (0.6, 0.55), (0.5, 0.51), (0.48, 0.502), (0.475, 0.5), (0.473, 0.5)]


def settings() -> TrainModelSettings:
    found = step_settings(small_config(model={"dropout": 0.1}), StepName.TRAIN_MODEL)
    assert isinstance(found, TrainModelSettings)
    return found


def fitted(used: TrainModelSettings, losses: list[tuple[float, float]]) -> FittedNetwork:
    history = tuple(
        EpochRecord(i, train, validation, 1e-3, 1.0) for i, (train, validation) in enumerate(losses, start=1)
    )
    best = min(history, key=lambda row: row.validation_loss).epoch
    report = FitReport(
        history=history, best_epoch=best, stopped_early=False, resumed_from_epoch=0, resumed_from_step=0,
        n_train_windows=1, n_validation_windows=1, n_parameters=1, n_replicas=1, batch_size=1, divergences=(), cpu_s=1.0,
    )  # fmt: skip
    return FittedNetwork(used, None, report)  # type: ignore[arg-type]


def test_a_remedy_that_helps_is_kept_and_a_good_fit_needs_no_other() -> None:
    def fit(used: TrainModelSettings, _number: int) -> FittedNetwork:
        return fitted(used, GOOD if used.model.dropout > 0.2 else OVERFITTING)

    found = fit_with_remedies(settings(), fit)
    assert [(one.pattern, one.kept) for one in found.remedies] == [("over-fitting", True)]
    assert found.settings.model.dropout == pytest.approx(0.3)
    assert (found.remedies[0].before, found.remedies[0].after) == (0.6, 0.5)


def test_what_does_not_help_is_dropped_and_never_tried_again() -> None:
    used: list[TrainModelSettings] = []

    def fit(one: TrainModelSettings, _number: int) -> FittedNetwork:
        used.append(one)
        return fitted(one, OVERFITTING)

    found = fit_with_remedies(settings(), fit)
    assert found.settings == settings()
    assert not any(one.kept for one in found.remedies)
    assert len({one.model_dump_json() for one in used}) == len(used) <= MOST_REMEDIES + 1


def test_a_training_that_is_lost_is_tried_with_remedies() -> None:
    def fit(used: TrainModelSettings, number: int) -> FittedNetwork:
        if used.training.learning_rate > 0.005:
            raise ModelRefusedError(f"training {number} was lost")
        return fitted(used, GOOD)

    found = fit_with_remedies(settings(), fit)
    assert found.settings.training.learning_rate == pytest.approx(0.001)
    assert found.remedies[-1].before is None


def test_a_remedy_sets_no_batch_that_three_replicas_cannot_share() -> None:
    unstable = [(1.0, 0.9), (0.6, 0.5), (0.9, 0.8), (0.4, 0.45), (0.95, 0.85), (0.35, 0.44), (0.9, 0.8), (0.3, 0.4)]
    batches: list[int] = []

    def fit(one: TrainModelSettings, _number: int) -> FittedNetwork:
        assert isinstance(one.training.batch_size, int)
        batches.append(one.training.batch_size)
        return fitted(one, unstable)

    begun = settings().model_copy(update={"training": settings().training.model_copy(update={"batch_size": 96})})
    found = fit_with_remedies(begun, fit, n_replicas=3)
    assert {record.pattern for record in found.remedies} == {"unstable"}
    assert set(batches) == {96, 63}


def test_a_training_that_no_remedy_saves_is_refused_with_its_first_error() -> None:
    def fit(_used: TrainModelSettings, number: int) -> FittedNetwork:
        raise ModelRefusedError(f"training {number} was lost")

    with pytest.raises(ModelRefusedError, match="training 0 was lost"):
        fit_with_remedies(settings(), fit)


def test_an_ensemble_cannot_be_remedied() -> None:
    with pytest.raises(
        ConfigError, match=r"training\.auto_remedy needs a single model that is trained, found .* ensemble"
    ):
        ensemble_config(training={"auto_remedy": True})


FAULTS = {
    "lost by its rate": {"optimizer": "sgd", "learning_rate": 1e5, "clip": "none", "warmup_steps": 0, "max_epochs": 4},
    "a rate far too low": {"learning_rate": 1e-6, "max_epochs": 4},
    "too few epochs": {"learning_rate": 5e-4, "schedule": "constant", "max_epochs": 3},
    "learnt by heart": {
        "learning_rate": 2e-2, "schedule": "constant", "max_epochs": 16, "patience": 100, "weight_decay": 0.0,
    },
}  # fmt: skip


@pytest.mark.slow
def test_remedies_improve_at_least_three_of_four_planted_faults(tmp_path: Path) -> None:
    improved = {}
    for name, fault in FAULTS.items():
        run = make_small_run(tmp_path / name, n_train=200 if name == "learnt by heart" else 500)
        model = {"units": 48, "dropout": 0.0, "segment_dropout": 0.0} if name == "learnt by heart" else {}
        run.perform(
            StepName.TRAIN_MODEL, training={**fault, "auto_remedy": True, "refit": False}, model={**model, "calibrate": False}
        )  # fmt: skip
        report = json.loads((run.directory(StepName.TRAIN_MODEL) / "report.json").read_text())
        tried = report["remedies"]
        print(name, [(one["pattern"], one["change"], one["before"], one["after"], one["kept"]) for one in tried])
        improved[name] = any(one["kept"] for one in tried)
        if tried and tried[0]["before"] is not None:
            assert report["best_validation_loss"] <= tried[0]["before"]
    assert sum(improved.values()) >= 3, improved
