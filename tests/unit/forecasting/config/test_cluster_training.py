"""Which settings of training on several pods fit together, and what train_model sees of them."""

import pytest

from forecasting.config import parse_config, step_settings
from forecasting.config.launched import cluster_step_settings
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from tests.unit.training.small_run import SETTINGS


def config(training: dict, *, gpu: int = 0, **own: object):
    cluster = {"training": training, "resources": {"train_model": {"gpu": gpu}}}
    return parse_config({**SETTINGS, "cluster": cluster, "training": {"batch_size": 32, **own}}, source="test")


@pytest.mark.parametrize(
    ("training", "own", "told"),
    [
        ({"workers": 2}, {}, "launcher must be tfjob or trainjob for 2 workers"),
        ({"gang": "volcano"}, {}, "launcher must be tfjob or trainjob for 1 workers with gang volcano"),
        (
            {"launcher": "tfjob", "gang": "coscheduling", "queue": "q"},
            {},
            "queue is of gang volcano, found gang coscheduling",
        ),
        ({"launcher": "tfjob", "workers": 2}, {"strategy": "mirrored"}, "must be auto or multi_worker, found mirrored"),
        ({"launcher": "tfjob", "workers": 3}, {}, r"\(32\) must be a multiple of the 3 replicas"),
        (
            {"launcher": "tfjob", "workers": 2},
            {"batch_size": "auto"},
            "batch_size must be a number where .* found auto",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(training, own, told):
    with pytest.raises(ConfigError, match=told):
        config(training, **own)


def test_a_batch_is_spread_over_the_gpus_of_all_workers():
    with pytest.raises(ConfigError, match="the 12 replicas"):
        config({"launcher": "trainjob", "workers": 4}, gpu=3)
    assert config({"launcher": "trainjob", "workers": 4}, gpu=2).cluster.training.workers == 4


def test_a_model_that_is_solved_has_no_batch_that_counts():
    solved, both = {"kind": "ridge"}, {"kind": "ensemble", "members": [{"kind": "ridge"}, {"kind": "linear"}]}
    document = {
        **SETTINGS,
        "cluster": {"training": {"launcher": "tfjob", "workers": 3}},
        "training": {"batch_size": 32},
    }
    assert parse_config({**document, "model": solved}, source="test").cluster.training.workers == 3
    with pytest.raises(ConfigError, match="must be a multiple of the 3 replicas"):
        parse_config({**document, "model": both}, source="test")


@pytest.mark.parametrize(
    ("space", "found"),
    [
        (None, "16"),
        ({"training.batch_size": {"low": 30, "high": 60}}, "31"),
        ({"training.batch_size": {"low": 30, "high": 60, "step": 10}}, "40"),
    ],
)
def test_a_search_in_the_run_that_may_find_a_batch_that_cannot_be_shared_is_refused(space, found):
    with pytest.raises(
        ConfigError, match=f"may find a training.batch_size of {found}, which cannot be spread over the 3"
    ):
        searched(space)


@pytest.mark.parametrize(
    "space", [{"training.batch_size": {"choices": [30, 60]}}, {"training.learning_rate": {"low": 1e-4, "high": 1e-2}}]
)
def test_a_search_in_the_run_whose_batches_can_be_shared_is_taken(space):
    assert searched(space).tuning.in_run


def searched(space: dict | None):
    """A search in a run that three workers train."""
    document = {
        **SETTINGS,
        "cluster": {"training": {"launcher": "tfjob", "workers": 3}},
        "training": {"batch_size": 33},
    }
    return parse_config({**document, "tuning": {"in_run": True, "space": space}}, source="test")


def test_only_train_model_of_several_workers_gets_their_strategy():
    several, alone = config({"launcher": "trainjob", "workers": 2}), config({"launcher": "trainjob"})
    assert cluster_step_settings(several, StepName.TRAIN_MODEL).training.strategy == "multi_worker"
    assert cluster_step_settings(alone, StepName.TRAIN_MODEL) == step_settings(alone, StepName.TRAIN_MODEL)
    for step in StepName:
        if step != StepName.TRAIN_MODEL:
            assert cluster_step_settings(several, step) == step_settings(several, step)


@pytest.mark.parametrize(
    ("gpu", "accelerator", "seen"),
    [(1, "auto", "gpu"), (0, "auto", "auto"), (1, "any", "any"), (0, "gpu", "gpu"), (1, "cpu", "cpu")],
)
def test_pods_that_ask_for_gpus_do_not_train_without_one_unasked(gpu, accelerator, seen):
    found = config({}, gpu=gpu, accelerator=accelerator)
    assert cluster_step_settings(found, StepName.TRAIN_MODEL).training.accelerator == seen
    assert step_settings(found, StepName.TRAIN_MODEL).training.accelerator == accelerator
