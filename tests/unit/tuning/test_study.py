"""Studies: what is drawn, what is remembered, and what becomes of trials whose process is gone."""

import optuna
import pytest

from components.tuning.report import tuning_report
from components.tuning.study import ERROR, REFUSED, WORKER, enqueue_baseline, holds, open_study, settings_of, suggest
from forecasting.config.tuning import RangeConfig
from forecasting.errors import ConfigError, RemoteError
from forecasting.store.address import store_address
from forecasting.tuning_record import TrialOutcome
from tests.unit.tuning.studies import CURRENT, SPACE, study_spec

NONE = frozenset[str]()


def ask(study, space=SPACE, worker="here"):
    """A running trial with its settings."""
    trial = study.ask()
    trial.set_user_attr(WORKER, worker)
    return trial, suggest(trial, space, NONE)


def report_of(study, spec):
    return tuning_report(study, spec, model="load", folds=((0, 10),), ends_before=10)


def test_a_search_begins_with_the_settings_as_they_are(tmp_path):
    spec = study_spec(tmp_path)
    study = open_study(spec)
    enqueue_baseline(study, spec, CURRENT)
    trial, settings = ask(study)
    assert settings == {"training.learning_rate": 0.001, "model.units": (64,)}
    study.tell(trial, 2.0)
    assert report_of(study, spec).baseline == 0


def test_settings_outside_of_the_space_are_no_baseline(tmp_path):
    spec = study_spec(tmp_path)
    study = open_study(spec)
    enqueue_baseline(study, spec, {**CURRENT, "training.learning_rate": 0.5})
    assert study.get_trials(states=(optuna.trial.TrialState.WAITING,)) == []


def test_lists_come_back_from_the_storage_as_they_were_given(tmp_path):
    study = open_study(study_spec(tmp_path))
    _, settings = ask(study)
    again = open_study(study_spec(tmp_path, worker="there")).get_trials()[0]
    assert settings_of(again, SPACE) == settings
    assert settings["model.units"] in ((64,), (128, 64))


def test_whole_numbers_are_drawn_as_such(tmp_path):
    space = {"model.units": RangeConfig(low=8, high=64, log=True), "model.dropout": RangeConfig(low=0, high=1)}
    drawn = suggest(open_study(study_spec(tmp_path, space=space)).ask(), space, frozenset({"model.units"}))
    assert isinstance(drawn["model.units"], int)
    assert isinstance(drawn["model.dropout"], float)


def test_a_trial_whose_process_was_killed_is_tried_again_with_its_settings_once(tmp_path):
    spec = study_spec(tmp_path)
    _, lost = ask(open_study(spec))
    again = open_study(spec)
    trial, settings = ask(again)
    assert settings == lost
    again.tell(trial, 1.0)
    outcomes = [trial.outcome for trial in report_of(open_study(spec), spec).trials]
    assert outcomes == [TrialOutcome.STOPPED, TrialOutcome.SCORED]


def test_a_trial_of_another_worker_goes_on(tmp_path):
    ask(open_study(study_spec(tmp_path, worker="there")), worker="there")
    study = open_study(study_spec(tmp_path, worker="here"))
    assert [trial.state.name for trial in study.get_trials()] == ["RUNNING"]


def test_a_trial_that_failed_by_itself_is_not_tried_again(tmp_path):
    spec = study_spec(tmp_path)
    study = open_study(spec)
    trial, _ = ask(study)
    trial.set_user_attr(ERROR, "out of memory")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    found = report_of(open_study(spec), spec).trials
    assert [(one.outcome, one.reason) for one in found] == [(TrialOutcome.FAILED, "out of memory")]


def test_a_call_that_goes_on_draws_something_new(tmp_path):
    spec = study_spec(tmp_path, sampler="random")
    study = open_study(spec)
    trial, first = ask(study)
    study.tell(trial, 1.0)
    _, second = ask(open_study(spec))
    assert first != second


def test_the_same_seed_draws_the_same(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (ask(open_study(study_spec(folder, seed=5)))[1] for folder in folders)
    assert one == two


def test_a_grid_takes_every_combination_once(tmp_path):
    space = {
        "model.units": RangeConfig(low=8, high=16, step=4),
        "training.optimizer": RangeConfig(choices=("adam", "sgd")),
    }
    study = open_study(study_spec(tmp_path, space=space, sampler="grid"))
    found = []
    for _ in study.get_trials():
        trial = study.ask()
        found.append(tuple(suggest(trial, space, frozenset({"model.units"})).values()))
        study.tell(trial, 1.0)
    assert sorted(found) == [(8, "adam"), (8, "sgd"), (12, "adam"), (12, "sgd"), (16, "adam"), (16, "sgd")]


def test_a_grid_without_end_is_refused(tmp_path):
    space = {f"model.s{i}": RangeConfig(low=0, high=99, step=1) for i in range(3)}
    with pytest.raises(ConfigError, match=r"at most 100,000 combinations, tuning\.space has 1,000,000"):
        open_study(study_spec(tmp_path, space=space, sampler="grid"))


def test_a_trial_that_was_refused_says_why(tmp_path):
    spec = study_spec(tmp_path)
    study = open_study(spec)
    trial, _ = ask(study)
    trial.set_user_attr(REFUSED, "the loss is no number")
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert [(one.outcome, one.reason) for one in report_of(study, spec).trials] == [
        (TrialOutcome.REFUSED, "the loss is no number")
    ]


def test_the_best_is_the_largest_where_more_is_better(tmp_path):
    spec = study_spec(tmp_path, metric="r2")
    study = open_study(spec)
    for value in (0.5, 0.9, 0.7):
        trial, _ = ask(study)
        study.tell(trial, value)
    assert report_of(study, spec).best == 1


def test_importance_is_of_the_setting_that_matters(tmp_path):
    spec = study_spec(tmp_path, sampler="random")
    study = open_study(spec)
    for _ in range(24):
        trial, settings = ask(study)
        study.tell(trial, settings["training.learning_rate"])
    found = report_of(study, spec).importance
    assert list(found) == ["training.learning_rate", "model.units"]
    assert found["training.learning_rate"] > 0.8


@pytest.mark.parametrize(
    ("values", "value", "held"),
    [
        (RangeConfig(low=1, high=9, step=2), 5, True),
        (RangeConfig(low=1, high=9, step=2), 4, False),
        (RangeConfig(low=0.0, high=0.5), 0.6, False),
        (RangeConfig(choices=((64,), (128, 64))), [128, 64], True),
        (RangeConfig(low=16, high=64), "auto", False),
    ],
)
def test_a_range_says_whether_it_holds_a_value(values, value, held):
    assert holds(values, value) is held


def test_a_storage_that_cannot_be_opened_says_where(tmp_path):
    spec = study_spec(tmp_path)
    address = store_address(None, tmp_path / "nowhere" / "study.db")
    lost = type(spec)(spec.name, address, spec.worker, spec.settings, spec.space)
    with pytest.raises(RemoteError, match=r"nowhere/study\.db"):
        open_study(lost)


def test_workers_that_begin_at_once_draw_different_settings(tmp_path):
    first, second = (open_study(study_spec(tmp_path, worker=worker, sampler="random")) for worker in ("here", "there"))
    drawn = [ask(study, worker="any")[1]["training.learning_rate"] for study in (first, second, first, second)]
    assert len(set(drawn)) == 4


def test_the_number_of_a_trial_says_what_is_drawn(tmp_path):
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        spec = study_spec(tmp_path / name, sampler="random")
        ask(open_study(spec), worker="there")
        drawn.append(ask(open_study(spec), worker="there")[1])
    assert drawn[0] == drawn[1]
