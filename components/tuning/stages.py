"""The staged flow: the settings as they are, one at a time, together those that matter, architectures, finalists over seeds."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.study import BASELINE, ERROR, KEY, OF, PATH, SEED, STAGE, Space, parameters, settings_of
from forecasting.config.tuning import Choice, RangeConfig, TuningConfig, choice_label
from forecasting.tuning_record import TrialStage

CONTEXT = "forecast.context"
"""Comes first: how far the model looks back decides what the rest has to work with."""
ARCHITECTURE = ("model.units", "model.layers", "model.head_units", "forecast.segment")
_LEAST_SPREAD = 0.01
"""A setting matters if the metric moves by this share of the baseline's over its values."""
_LEAST_SEARCHED = 2


@dataclass(frozen=True)
class PointSpec:
    """A trial to be made: settings by path, and what it is made for. seed: of the training; none: the configured one."""

    stage: TrialStage
    settings: Mapping[str, Any]
    path: str = ""
    of: int | None = None
    seed: int | None = None

    def attributes(self, space: Space) -> dict[str, Any]:
        """What a study remembers of it; the key tells it from all others of its stage."""
        drawn = parameters(self.settings, space)
        known = {PATH: self.path, OF: self.of, SEED: self.seed}
        key = json.dumps([self.stage.value, drawn, known], sort_keys=True)
        return {
            STAGE: self.stage.value,
            KEY: key,
            **{name: value for name, value in known.items() if value not in ("", None)},
        }


def spread_values(values: RangeConfig, n: int, *, whole: bool) -> tuple[Choice, ...]:
    """Some values of a range: every choice, or `n` from end to end, evenly or by equal ratios.

    Args:
        values: The range.
        n: How many of a range without choices, at least 2.
        whole: Whether it takes whole numbers only.
    """
    if values.choices is not None:
        return values.choices
    if (grid := values.grid) is not None and len(grid) <= n:
        return grid
    low, high = values.bounds
    shares = [i / (n - 1) for i in range(n)]
    if grid is not None:
        return tuple(grid[round(share * (len(grid) - 1))] for share in shares)
    found = [low * (high / low) ** share if values.log else low + (high - low) * share for share in shares]
    rounded = [round(value) if whole else float(f"{value:.6g}") for value in found]
    return tuple(dict.fromkeys(min(max(value, low), high) for value in rounded))


def one_at_a_time(
    current: Mapping[str, Any], space: Space, *, whole: frozenset[str], n_values: int, only: Sequence[str] | None = None
) -> list[PointSpec]:
    """Trials that differ from the present settings in one, the context first.

    Args:
        current: The present settings by path.
        space: Ranges by path.
        whole: Paths that take whole numbers only.
        n_values: Values of a range.
        only: Paths to vary; none: all.
    """
    paths = sorted(only if only is not None else space, key=lambda path: path != CONTEXT)
    stage = TrialStage.ONE_AT_A_TIME if only is None else TrialStage.ARCHITECTURE
    return [
        PointSpec(stage, {**current, path: value}, path)
        for path in paths
        for value in spread_values(space[path], n_values, whole=path in whole)
        if choice_label(value) != choice_label(current[path])
    ]


def enqueue_missing(study: optuna.Study, points: Iterable[PointSpec], space: Space) -> int:
    """Put trials in line that are not made yet and not in line; gives how many are to be run."""
    there = {trial.user_attrs.get(KEY) for trial in study.get_trials(deepcopy=False) if not _must_repeat(trial)}
    n_due = 0
    for point in points:
        attributes = point.attributes(space)
        waiting = [
            trial for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if trial.user_attrs.get(KEY) == attributes[KEY]
        ]  # fmt: skip
        if attributes[KEY] not in there:
            study.enqueue_trial(parameters(point.settings, space), user_attrs=attributes)
            there.add(attributes[KEY])
            n_due += 1
        n_due += len(waiting)
    return n_due


def _must_repeat(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def matter(study: optuna.Study, space: Space) -> tuple[str, ...]:
    """Paths over whose values the metric moved, the most first; two at least, where the space has so many."""
    base = baseline_value(study)
    spreads: dict[str, float] = dict.fromkeys(space, 0.0)
    for path in space:
        values = [trial.value for trial in scored(study, TrialStage.ONE_AT_A_TIME) if trial.user_attrs.get(PATH) == path and trial.value is not None]  # fmt: skip
        known = [*values, *([base] if base is not None else [])]
        if len(known) > 1:
            spreads[path] = (max(known) - min(known)) / max(abs(base if base is not None else min(known)), 1e-12)
    order = sorted(space, key=lambda path: -spreads[path])
    chosen = [path for path in order if spreads[path] >= _LEAST_SPREAD]
    return tuple(chosen if len(chosen) >= _LEAST_SEARCHED else order[:_LEAST_SEARCHED])


def baseline_value(study: optuna.Study) -> float | None:
    """The metric with the settings as they are; none where they were not scored."""
    return next((trial.value for trial in scored(study) if trial.user_attrs.get(BASELINE)), None)


def scored(study: optuna.Study, stage: TrialStage | None = None) -> list[FrozenTrial]:
    """Trials with a value, of one stage or all."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if stage is None or stage_of(trial) is stage]


def stage_of(trial: FrozenTrial | optuna.Trial) -> TrialStage:
    """What a trial was made for."""
    if trial.user_attrs.get(BASELINE):
        return TrialStage.BASELINE
    return TrialStage(trial.user_attrs.get(STAGE, TrialStage.JOINT.value))


def ranked(study: optuna.Study, *, maximised: bool) -> list[FrozenTrial]:
    """Scored trials of the configured seed, the best first, each settings once."""
    found = [trial for trial in scored(study) if stage_of(trial) is not TrialStage.FINALIST and trial.value is not None]
    found.sort(key=lambda trial: trial.value if trial.value is not None else math.inf, reverse=maximised)
    return list({json.dumps(trial.params, sort_keys=True): trial for trial in reversed(found)}.values())[::-1]


def finalist_points(study: optuna.Study, settings: TuningConfig, space: Space, *, seed: int) -> list[PointSpec]:
    """Each of the best trials again with other seeds; its own trial is the first of them."""
    best = ranked(study, maximised=settings.maximised)[: settings.finalists]
    return [
        PointSpec(TrialStage.FINALIST, settings_of(trial, space), of=trial.number, seed=seed + i)
        for trial in best
        for i in range(1, settings.finalist_seeds)
    ]
