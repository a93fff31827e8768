"""From a study to its report."""

import statistics

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.stages import ranked, stage_of
from components.tuning.study import (
    BASELINE,
    ERROR,
    OF,
    PATH,
    REFUSED,
    SEED,
    SURPLUS,
    Space,
    StudySpec,
    importance_of,
    remembered,
    settings_of,
    was_stopped,
)
from forecasting.tuning_record import FinalistRecord, FoldFitRecord, TrialOutcome, TrialRecord, TuningReport


def tuning_report(
    study: optuna.Study, spec: StudySpec, *, model: str, folds: tuple[tuple[int, int], ...], ends_before: int,
    searched: tuple[str, ...] = (),
) -> TuningReport:  # fmt: skip
    """All trials of a study with its best.

    Args:
        study: The study.
        spec: What it was opened by.
        model: Name of the model.
        folds: (start, end) of each, UTC epoch seconds.
        ends_before: Start of the test period, UTC epoch seconds.
        searched: Settings that the joint stage of a staged search varied.
    """
    kept = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING and SURPLUS not in trial.user_attrs
    ]
    scored = [trial for trial in kept if trial.state == TrialState.COMPLETE]
    baseline = [trial.number for trial in scored if trial.user_attrs.get(BASELINE)]
    finalists = _finalists(scored, maximised=spec.settings.maximised)
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
        best=finalists[0].trial if finalists else _best(study, spec) if scored else None,
        baseline=baseline[0] if baseline else None,
        finalists=finalists,
        searched=searched,
    )


def _best(study: optuna.Study, spec: StudySpec) -> int:
    """Of trials with the configured seed: one lucky seed makes no better settings."""
    return ranked(study, maximised=spec.settings.maximised)[0].number


def _finalists(scored: list[FrozenTrial], *, maximised: bool) -> tuple[FinalistRecord, ...]:
    """Trials that were made again with other seeds, the best mean first."""
    found = []
    for trial in scored:
        again = [one.value for one in scored if one.user_attrs.get(OF) == trial.number and one.value is not None]
        if trial.value is not None and again:
            values = (trial.value, *again)
            found.append(FinalistRecord(trial.number, values, statistics.fmean(values), statistics.stdev(values)))
    return tuple(sorted(found, key=lambda one: one.mean, reverse=maximised))


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
        stage=stage_of(trial),
        path=str(trial.user_attrs.get(PATH, "")),
        seed=trial.user_attrs.get(SEED),
        of=trial.user_attrs.get(OF),
        started=None if trial.datetime_start is None else trial.datetime_start.timestamp(),
    )


def _outcome(trial: FrozenTrial) -> TrialOutcome:
    if trial.state == TrialState.COMPLETE:
        return TrialOutcome.SCORED
    if trial.state == TrialState.PRUNED:
        return TrialOutcome.REFUSED if REFUSED in trial.user_attrs else TrialOutcome.PRUNED
    if trial.state == TrialState.RUNNING:
        return TrialOutcome.RUNNING
    return TrialOutcome.STOPPED if was_stopped(trial) else TrialOutcome.FAILED
