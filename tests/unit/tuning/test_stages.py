"""The staged flow on a metric that is a formula: what is tried, in which order, and who wins."""

import statistics
from pathlib import Path
from typing import Any

import optuna
import pytest

from components.tuning.points import point_tables
from components.tuning.report import tuning_report
from components.tuning.stages import matter, spread_values, stage_of
from components.tuning.study import SEED, StudySpec, enqueue_baseline, open_study, suggest
from forecasting.config.tuning import RangeConfig, TuningConfig
from forecasting.errors import ConfigError
from forecasting.tuning_record import TrialStage, TuningReport
from pipelines.staged import check_staged, n_over, run_staged
from tests.unit.tuning.studies import study_spec

SPACE = {
    "training.learning_rate": RangeConfig(low=1e-4, high=1e-2, log=True),
    "forecast.context": RangeConfig(choices=(168, 336, 672)),
    "model.units": RangeConfig(low=32, high=256, log=True),
    "training.l2": RangeConfig(choices=(0.0, 1e-4)),
}
CURRENT: dict[str, Any] = {
    "training.learning_rate": 1e-3, "forecast.context": 168, "model.units": 64, "training.l2": 0.0,
}  # fmt: skip
WHOLE = frozenset({"model.units"})


def metric(settings: dict[str, Any], seed: int) -> float:
    """Context and units matter, the rate a little, l2 not at all; odd seeds are lucky."""
    return (
        1.0
        - 0.2 * (settings["forecast.context"] == 336)
        + abs(settings["model.units"] - 128) / 640
        + 0.0001 * (settings["training.learning_rate"] > 5e-3)
        - 0.01 * (seed % 2)
    )


def staged(folder: Path, *, upto: int = 10_000, **settings: Any) -> tuple[optuna.Study, StudySpec, tuple[str, ...]]:
    known = {"flow": "staged", "sampler": "random", "n_trials": 4, "finalists": 2, "finalist_seeds": 3}
    spec = study_spec(folder, space=SPACE, **{**known, **settings})
    study = open_study(spec)
    enqueue_baseline(study, spec, CURRENT)
    left = [upto]

    def run(n_trials: int) -> bool:
        while n_over(study) < n_trials and left[0]:
            trial = study.ask()
            found = suggest(trial, SPACE, WHOLE)
            study.tell(trial, metric(found, trial.user_attrs.get(SEED, 1)))
            left[0] -= 1
        return bool(left[0])

    searched = run_staged(study, spec, current=CURRENT, whole=WHOLE, seed=1, run=run)
    return study, spec, searched


def report_of(study: optuna.Study, spec: StudySpec, searched: tuple[str, ...] = ()) -> TuningReport:
    return tuning_report(study, spec, model="load", folds=((0, 10),), ends_before=10, searched=searched)


def test_stages_follow_each_other_with_the_context_first(tmp_path: Path) -> None:
    study, _, _ = staged(tmp_path)
    stages = [stage_of(trial) for trial in study.get_trials()]
    # 2 contexts, 3 rates but the present one, 3 units, 1 l2; 4 joint; around the best; 2 finalists with 2 more seeds
    assert stages[0] is TrialStage.BASELINE
    assert stages[1:9] == [TrialStage.ONE_AT_A_TIME] * 8
    assert stages[9:13] == [TrialStage.JOINT] * 4
    assert stages[-4:] == [TrialStage.FINALIST] * 4
    assert set(stages[13:-4]) == {TrialStage.ARCHITECTURE}
    assert [trial.params["forecast.context"] for trial in study.get_trials()[1:3]] == ["336", "672"]


def test_a_trial_of_the_second_stage_differs_in_one_setting(tmp_path: Path) -> None:
    study, spec, _ = staged(tmp_path)
    for trial in report_of(study, spec).trials[1:9]:
        different = [path for path, value in trial.settings.items() if value != CURRENT[path]]
        assert different == [trial.path]


def test_what_does_not_matter_stays_as_it_is_in_the_joint_search(tmp_path: Path) -> None:
    study, _, searched = staged(tmp_path)
    assert searched == ("forecast.context", "model.units")
    for trial in study.get_trials()[9:13]:
        assert trial.params["training.l2"] == "0.0"
        assert trial.params["training.learning_rate"] == 1e-3
    assert len({trial.params["model.units"] for trial in study.get_trials()[9:13]}) > 1


def test_the_winner_is_the_finalist_with_the_best_mean_over_seeds(tmp_path: Path) -> None:
    study, spec, _ = staged(tmp_path)
    report = report_of(study, spec)
    assert [len(one.values) for one in report.finalists] == [3, 3]
    assert report.best == report.finalists[0].trial
    assert report.finalists[0].mean <= report.finalists[1].mean
    winner = report.finalists[0]
    assert winner.mean == pytest.approx(statistics.fmean(winner.values))
    assert winner.std == pytest.approx(statistics.stdev(winner.values))
    assert len(set(winner.values)) == 2
    seeds = [trial.seed for trial in report.trials if trial.of == winner.trial]
    assert seeds == [2, 3]


@pytest.mark.parametrize("upto", [3, 10, 14, 18])
def test_a_search_that_was_stopped_makes_what_lacks_and_nothing_twice(tmp_path: Path, upto: int) -> None:

    (tmp_path / "parts").mkdir()
    staged(tmp_path / "parts", upto=upto)
    study, _, _ = staged(tmp_path / "parts")
    told = [trial for trial in study.get_trials() if trial.state.is_finished()]
    keys = [(stage_of(trial), str(trial.params), trial.user_attrs.get(SEED)) for trial in told if stage_of(trial) is not TrialStage.JOINT]  # fmt: skip
    assert len(set(keys)) == len(keys)
    count = [stage_of(trial) for trial in told]
    assert count.count(TrialStage.ONE_AT_A_TIME) == 8
    assert count.count(TrialStage.JOINT) == 4
    assert count.count(TrialStage.FINALIST) == 4


def test_the_tables_have_the_configured_value_among_the_others(tmp_path: Path) -> None:
    study, spec, _ = staged(tmp_path)
    tables = point_tables(report_of(study, spec))
    rows = tables["forecast.context"]
    assert [(row.value, row.configured) for row in rows] == [("168", True), ("336", False), ("672", False)]
    assert [row.metric for row in rows] == pytest.approx([1.09, 0.89, 1.09])


def test_two_settings_are_searched_where_none_matters(tmp_path: Path) -> None:
    spec = study_spec(tmp_path, space=SPACE)
    assert len(matter(open_study(spec), SPACE)) == 2


def test_a_space_without_the_present_settings_cannot_be_staged(tmp_path: Path) -> None:
    spec = study_spec(tmp_path, space=SPACE)
    with pytest.raises(ConfigError, match=r"tuning.space.forecast.context must hold 24"):
        check_staged(spec, {**CURRENT, "forecast.context": 24})


def test_a_grid_cannot_be_staged() -> None:
    with pytest.raises(ValueError, match="flow staged needs sampler tpe or random"):
        TuningConfig(flow="staged", sampler="grid", space={"model.units": RangeConfig(choices=(1, 2))})


@pytest.mark.parametrize(
    ("values", "whole", "expected"),
    [
        (RangeConfig(low=1e-4, high=1e-2, log=True), False, (1e-4, 1e-3, 1e-2)),
        (RangeConfig(low=0.0, high=0.5), False, (0.0, 0.25, 0.5)),
        (RangeConfig(low=32, high=256, log=True), True, (32, 91, 256)),
        (RangeConfig(low=1, high=9, step=2), True, (1, 5, 9)),
        (RangeConfig(choices=("a", "b", "c", "d")), False, ("a", "b", "c", "d")),
    ],
)
def test_values_are_spread_from_end_to_end(values: RangeConfig, whole: bool, expected: tuple[object, ...]) -> None:
    assert spread_values(values, 3, whole=whole) == pytest.approx(expected) if not values.choices else expected
