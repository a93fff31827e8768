"""From a study to its report."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.study import (
    BASELINE,
    ERROR,
    REFUSED,
    Space,
    StudySpec,
    importance_of,
    remembered,
    settings_of,
    was_stopped,
)
from forecasting.tuning_record import FoldFitRecord, TrialOutcome, TrialRecord, TuningReport


def tuning_report(
    study: optuna.Study, spec: StudySpec, *, model: str, folds: tuple[tuple[int, int], ...], ends_before: int
) -> TuningReport:
    """All trials of a study with its best.

    Args:
        study: The study.
        spec: What it was opened by.
        model: Name of the model.
        folds: (start, end) of each, UTC epoch seconds.
        ends_before: Start of the test period, UTC epoch seconds.
    """
    kept = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    scored = [trial for trial in kept if trial.state == TrialState.COMPLETE]
    baseline = [trial.number for trial in scored if trial.user_attrs.get(BASELINE)]
    return TuningReport(
        model=model,
        study=spec.name,
        metric=spec.settings.metric,
        maximised=spec.settings.maximised,
        sampler=spec.settings.sampler,
        pruner=spec.settings.pruner,
        folds=folds,
        ends_before=ends_before,
        trials=tuple(_record(trial, spec.space) for trial in kept),
        importance=importance_of(study),
        best=study.best_trial.number if scored else None,
        baseline=baseline[0] if baseline else None,
    )


def _record(trial: FrozenTrial, space: Space) -> TrialRecord:
    found = remembered(trial)
    return TrialRecord(
        number=trial.number,
        outcome=_outcome(trial),
        settings=settings_of(trial, space),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        folds=tuple(FoldFitRecord(**fold) for fold in found.get("folds", ())),
        epochs=tuple(value for _, value in sorted(trial.intermediate_values.items())),
        n_parameters=found.get("n_parameters"),
        duration_s=None if trial.duration is None else round(trial.duration.total_seconds(), 1),
        reason=str(trial.user_attrs.get(REFUSED) or trial.user_attrs.get(ERROR) or ""),
    )


def _outcome(trial: FrozenTrial) -> TrialOutcome:
    if trial.state == TrialState.COMPLETE:
        return TrialOutcome.SCORED
    if trial.state == TrialState.PRUNED:
        return TrialOutcome.REFUSED if REFUSED in trial.user_attrs else TrialOutcome.PRUNED
    if trial.state == TrialState.RUNNING:
        return TrialOutcome.RUNNING
    return TrialOutcome.STOPPED if was_stopped(trial) else TrialOutcome.FAILED
