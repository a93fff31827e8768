"""The compiled pipeline of a configuration whose train_model is done by pods of its own."""

import json
from typing import Any

import pytest
import yaml

from forecasting.config import load_config
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from pipelines.cluster.argo import argo_documents
from pipelines.cluster.compiled import compiled_kfp
from tests.unit.pipelines.cluster.conftest import DIGEST
from tests.unit.pipelines.cluster.fake_argo import check

LAUNCHED = ["cluster.training.launcher=trainjob", "cluster.training.workers=2", "cluster.resources.train_model.gpu=1"]
TRAINER = DIGEST.replace("almanac@", "trainer@")
IMAGES = {**dict.fromkeys([None, *StepName], DIGEST), StepName.TRAIN_MODEL: TRAINER}


def argo_templates(config_path: Any, *overrides: str) -> dict[str, dict[str, Any]]:
    (template,) = [
        one for one in argo_documents(load_config(config_path, overrides), IMAGES) if one["kind"] == "WorkflowTemplate"
    ]
    check(template, "WorkflowTemplate")
    return {one["name"]: one for one in template["spec"]["templates"]}


def test_on_argo_the_launching_step_is_small_knows_its_pod_and_alone_has_a_token(config_path):
    templates = argo_templates(config_path, *LAUNCHED)
    step = templates["train-model"]
    container = step["container"]
    assert container["image"] == DIGEST
    assert container["args"][4:6] == ["--worker-image", TRAINER]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert step["activeDeadlineSeconds"] == 6 * 3600
    assert {"name": "ALMANAC_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container["env"]
    assert step["serviceAccountName"] == "almanac-pipeline-launcher"
    assert [name for name, one in templates.items() if one.get("automountServiceAccountToken")] == ["train-model"]


def test_on_argo_a_step_that_trains_itself_is_as_before(config_path):
    step = argo_templates(config_path, "cluster.resources.train_model.gpu=1")["train-model"]
    assert (step["container"]["image"], step["container"]["resources"]["limits"]["nvidia.com/gpu"]) == (TRAINER, "1")
    assert "serviceAccountName" not in step
    assert "--worker-image" not in step["container"]["args"]


def test_on_kubeflow_the_launching_step_has_workers_of_the_image_that_trains(config_path):
    spec, platform = yaml.safe_load_all(compiled_kfp(load_config(config_path, LAUNCHED), pinned=False))
    tasks = {
        name: task
        for part in spec["components"].values()
        for name, task in part.get("dag", {}).get("tasks", {}).items()
    }
    assert tasks["launch-training"]["taskInfo"]["name"] == "train-model"
    assert "train-model" not in tasks
    given = {name: one["runtimeValue"]["constant"] for name, one in tasks["launch-training"]["inputs"]["parameters"].items()
             if "runtimeValue" in one}  # fmt: skip
    assert json.loads(given["settings"])["training"]["strategy"] == "multi_worker"
    assert json.loads(given["cluster"])["training"]["workers"] == 2
    assert "/trainer:" in given["worker_image"] or "trainer" in given["worker_image"]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    named = [name for name, one in executors.items() if one.get("fieldPathAsEnv")]
    assert named == ["exec-launch-training"]


def test_on_kubeflow_the_image_of_the_workers_must_have_a_digest_too(config_path):
    with pytest.raises(ConfigError, match="which may be another image tomorrow"):
        compiled_kfp(load_config(config_path, LAUNCHED))


def test_other_steps_keep_the_strategy_of_the_configuration(config_path):
    spec, _ = yaml.safe_load_all(compiled_kfp(load_config(config_path, LAUNCHED), pinned=False))
    text = json.dumps(spec)
    assert text.count('\\"strategy\\": \\"multi_worker\\"') + text.count('\\"strategy\\":\\"multi_worker\\"') == 1
