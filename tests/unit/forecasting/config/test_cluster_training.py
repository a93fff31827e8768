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
    ],
)
def test_settings_that_do_not_fit_together_are_refused(training, own, told):
    with pytest.raises(ConfigError, match=told):
        config(training, **own)


def test_a_batch_is_spread_over_the_gpus_of_all_workers():
    with pytest.raises(ConfigError, match="the 12 replicas"):
        config({"launcher": "trainjob", "workers": 4}, gpu=3)
    assert config({"launcher": "trainjob", "workers": 4}, gpu=2).cluster.training.workers == 4


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
