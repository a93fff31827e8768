"""The staged flow of `almanac tune`: stage after stage of one study, each made of what those before it have found."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.stages import (
    ARCHITECTURE,
    PointSpec,
    enqueue_missing,
    finalist_points,
    matter,
    one_at_a_time,
    ranked,
    stage_of,
)
from components.tuning.study import ERROR, StudySpec, holds, parameters, settings_of
from forecasting.errors import ConfigError
from forecasting.tuning_record import TrialStage

RunTrials = Callable[[int], bool]
"""Runs trials until so many of the study are over; says whether the next stage may begin."""


def check_staged(spec: StudySpec, current: Mapping[str, Any]) -> None:
    """A staged search varies the present settings, so its space must hold them.

    Raises:
        ConfigError: It does not.
    """
    for path, values in spec.space.items():
        if not holds(values, current[path]):
            raise ConfigError(
                f"tuning.flow staged begins with the settings as they are: tuning.space.{path} must hold {current[path]}, widen it"
            )


def run_staged(
    study: optuna.Study, spec: StudySpec, *, current: Mapping[str, Any], whole: frozenset[str], seed: int, run: RunTrials
) -> tuple[str, ...]:  # fmt: skip
    """All stages that are not done yet.

    Args:
        study: With the baseline in line or done.
        spec: Of the study.
        current: The present settings by path.
        whole: Paths that take whole numbers only.
        seed: That the configuration trains with.
        run: See `RunTrials`.

    Returns:
        The settings that the joint stage varied; empty where it did not come to that.
    """
    space, settings = spec.space, spec.settings

    def points(found: list[PointSpec]) -> bool:
        return run(n_over(study) + enqueue_missing(study, found, space))

    n_waiting = len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
    if not run(n_over(study) + n_waiting) or not points(
        one_at_a_time(current, space, whole=whole, n_values=settings.values_each)
    ):
        return ()
    searched = matter(study, space)
    _vary_only(study, spec, searched, current)
    if not run(n_over(study) + max(0, settings.n_trials - _n_joint(study))):
        return searched
    if not (best := ranked(study, maximised=settings.maximised)):
        return searched
    now = settings_of(best[0], space)
    only = [path for path in ARCHITECTURE if path in space]
    if points(one_at_a_time(now, space, whole=whole, n_values=settings.values_each, only=only)):
        points(finalist_points(study, settings, space, seed=seed))
    return searched


def n_over(study: optuna.Study) -> int:
    """Trials that came to an end of their own."""
    return sum(map(is_over, study.get_trials(deepcopy=False)))


def is_over(trial: FrozenTrial) -> bool:
    """Whether a trial came to an end of its own."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        trial.state == TrialState.FAIL and ERROR in trial.user_attrs
    )


def _n_joint(study: optuna.Study) -> int:
    over = (TrialState.COMPLETE, TrialState.PRUNED)
    return sum(
        stage_of(trial) is TrialStage.JOINT and (trial.state in over or ERROR in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def _vary_only(study: optuna.Study, spec: StudySpec, searched: tuple[str, ...], current: Mapping[str, Any]) -> None:
    """Leave every setting that does not matter as it is."""
    fixed = {path: value for path, value in parameters(current, spec.space).items() if path not in searched}
    study.sampler = optuna.samplers.PartialFixedSampler(fixed, study.sampler)
