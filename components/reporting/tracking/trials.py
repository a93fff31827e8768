"""A search as trackers know it: the study is a run, every trial a run nested in it."""

import math
from collections.abc import Iterator
from typing import Any

from components.reporting.tracking.bundle import PIPELINE_PART, BundleRecord, TrackedPartRecord
from components.reporting.tracking.tags import PART_TAG, RUN_TAG
from forecasting.config.tracking import TrackingConfig
from forecasting.config.tuning import choice_label
from forecasting.tuning_record import OVER, TrialOutcome, TrialRecord, TuningReport

_STATUSES = {
    TrialOutcome.SCORED: "finished",
    TrialOutcome.PRUNED: "killed",
    TrialOutcome.STOPPED: "killed",
    TrialOutcome.RUNNING: "killed",
    TrialOutcome.REFUSED: "failed",
    TrialOutcome.FAILED: "failed",
}


def study_bundle(report: TuningReport, tracking: TrackingConfig) -> BundleRecord:
    """A search that is no step of a run, for trackers: its own run, named as its study, and the trials in it.

    Its parameters are what the name of a study stands for: a search that goes on is told again, and a tracker takes no other
    value of a parameter.

    Args:
        report: The search.
        tracking: The section.
    """
    trials = trial_parts(report, report.study, within=PIPELINE_PART)
    tags = {RUN_TAG: report.study, PART_TAG: PIPELINE_PART, "almanac.model": report.model}
    if report.best is not None:
        tags["almanac.best_trial"] = str(report.best)
    study = TrackedPartRecord(
        part=PIPELINE_PART,
        name=report.study,
        status="finished",
        started=min((part.started for part in trials), default=0.0),
        ended=max((part.ended for part in trials), default=0.0),
        parameters={name: str(getattr(report, name)) for name in ("metric", "sampler", "pruner", "folds")},
        metrics=dict(search_metrics(report)),
        tags=tags,
    )
    return BundleRecord(run=report.study, model=report.model, tracking=tracking, pipeline=study, steps=trials)


def trial_parts(report: TuningReport, run: str, *, within: str) -> tuple[TrackedPartRecord, ...]:
    """Every trial that has begun, with its settings, its losses by epoch and what became of it.

    Args:
        report: The search.
        run: Name of the run that it is told of with.
        within: The part that trials are nested in.
    """
    return tuple(_part(report, trial, run, within) for trial in report.trials if trial.started is not None)


def search_metrics(report: TuningReport) -> Iterator[tuple[str, float]]:
    """Figures of a whole search: how many trials, the best and the configured value, the share of each setting."""
    yield "search/n_trials", float(sum(trial.outcome in OVER for trial in report.trials))
    for name, number in (("best", report.best), ("configured", report.baseline)):
        if number is not None and (value := report.trial(number).value) is not None:
            yield f"search/{name}_{report.metric}", value
    yield from ((f"search/importance/{path}", share) for path, share in report.importance.items())


def _part(report: TuningReport, trial: TrialRecord, run: str, within: str) -> TrackedPartRecord:
    name, started = f"trial-{trial.number}", trial.started or 0.0
    tags = {
        RUN_TAG: run,
        PART_TAG: name,
        "almanac.study": report.study,
        "almanac.outcome": trial.outcome.value,
        "almanac.stage": trial.stage.value,
    }
    tags |= {"almanac.reason": trial.reason} if trial.reason else {}
    seed = {"training.seed": str(trial.seed)} if trial.seed is not None else {}
    return TrackedPartRecord(
        part=name,
        name=name,
        status=_STATUSES[trial.outcome],
        started=started,
        ended=started + (trial.duration_s or 0.0),
        within=within,
        parameters={path: choice_label(value) for path, value in trial.settings.items()} | seed,
        metrics={found: value for found, value in _metrics(report, trial) if math.isfinite(value)},
        curves={"validation_loss": [(at, loss) for at, loss in enumerate(trial.epochs, 1) if math.isfinite(loss)]},
        tags=tags,
    )


def _metrics(report: TuningReport, trial: TrialRecord) -> Iterator[tuple[str, Any]]:
    if trial.value is not None:
        yield report.metric, trial.value
    if trial.n_parameters is not None:
        yield "n_parameters", float(trial.n_parameters)
    for number, fold in enumerate(trial.folds, 1):
        yield f"fold_{number}/{report.metric}", fold.value
        yield f"fold_{number}/train_loss", fold.train_loss
        yield f"fold_{number}/validation_loss", fold.validation_loss
        yield f"fold_{number}/cpu_s", fold.cpu_s
