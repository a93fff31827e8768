"""One-at-a-time tables: what each value of a setting costs, reaches and risks."""

from dataclasses import dataclass

from forecasting.config.tuning import choice_label
from forecasting.learning_patterns import LearningPattern
from forecasting.tuning_record import TrialRecord, TrialStage, TuningReport

_HARMLESS = (LearningPattern.GOOD_FIT.value, LearningPattern.TOO_SHORT.value, "")


@dataclass(frozen=True)
class PointReport:
    """One value of one setting, all else as configured; means over the folds.

    value: as it is written. metric: none where it was not scored. fit_s: CPU seconds of one fit. gap: validation over
    training loss. risk: patterns of the learning curves, or why it was not scored. configured: the value as it is.
    """

    value: str
    trial: int
    metric: float | None
    fit_s: float | None
    train_loss: float | None
    validation_loss: float | None
    gap: float | None
    risk: str
    configured: bool


def point_tables(
    report: TuningReport, stage: TrialStage = TrialStage.ONE_AT_A_TIME
) -> dict[str, tuple[PointReport, ...]]:
    """Rows by setting, in the order of the search; the value as configured is a row of each.

    Args:
        report: Of a search.
        stage: One at a time, or architectures.
    """
    tables: dict[str, list[PointReport]] = {}
    baseline = next((trial for trial in report.trials if trial.stage is TrialStage.BASELINE), None)
    for trial in report.trials:
        if trial.stage is not stage or trial.path not in trial.settings:
            continue
        if trial.path not in tables:
            shown = stage is TrialStage.ONE_AT_A_TIME and baseline is not None
            tables[trial.path] = [_point(baseline, trial.path, configured=True)] if shown and baseline else []
        tables[trial.path].append(_point(trial, trial.path, configured=False))
    return {path: tuple(sorted(rows, key=_order)) for path, rows in tables.items()}


def _point(trial: TrialRecord, path: str, *, configured: bool) -> PointReport:
    means = {
        name: sum(float(getattr(fold, name)) for fold in trial.folds) / len(trial.folds) if trial.folds else None
        for name in ("train_loss", "validation_loss", "cpu_s")
    }
    train, validation = means["train_loss"], means["validation_loss"]
    patterns = dict.fromkeys(fold.pattern for fold in trial.folds if fold.pattern not in _HARMLESS)
    value = trial.settings[path]
    return PointReport(
        value=f"{value:.6g}" if isinstance(value, float) else choice_label(value),
        trial=trial.number,
        metric=trial.value,
        fit_s=means["cpu_s"],
        train_loss=train,
        validation_loss=validation,
        gap=validation / train if train and validation is not None else None,
        risk=", ".join(patterns) or trial.reason or ("" if trial.value is not None else trial.outcome.value),
        configured=configured,
    )


def _order(point: PointReport) -> tuple[int, float, str]:
    """Numbers by size, words by name."""
    try:
        return 0, float(point.value), ""
    except ValueError:
        return 1, 0.0, point.value
