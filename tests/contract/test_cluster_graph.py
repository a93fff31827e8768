"""The pipeline that Kubeflow gets has no silent fault; that it runs as every engine does is a table of `test_paths.py`."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.cluster.lint import FaultKind, lint_pipeline
from tests.contract.engines import compile_on_volume, make_place
from tests.contract.golden_home import GoldenHome

GOLDEN = Path(__file__).parent / "golden" / "electricity.yaml"
SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "schemas"
GATES = ("validate-data", "evaluate-model", "evaluate-compressed", "validate-serving")
DIGEST = "registry.example/almanac@sha256:" + "0" * 64


@pytest.fixture
def place(tmp_path: Path) -> GoldenHome:
    return make_place(tmp_path / "place")


@pytest.fixture(scope="module")
def pinned() -> dict[str, Any]:
    document = next(yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8")))
    for executor in document["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = DIGEST
    return document


def test_the_lint_finds_nothing_in_a_pipeline_with_digests(pinned: dict[str, Any]) -> None:
    assert lint_pipeline(pinned, GATES) == []


def test_the_lint_names_an_image_without_digest(pinned: dict[str, Any]) -> None:
    document = copy.deepcopy(pinned)
    document["deploymentSpec"]["executors"]["exec-train-model"]["container"]["image"] = "almanac/trainer:1"
    (fault,) = lint_pipeline(document, GATES)
    assert fault.kind == FaultKind.UNPINNED_IMAGE
    assert fault.text.startswith("train-model runs in almanac/trainer:1")


def test_the_lint_names_a_condition_without_else_and_its_gate(pinned: dict[str, Any]) -> None:
    document = copy.deepcopy(pinned)
    value = "pipelinechannel--evaluate-model-Output"
    for component in document["components"].values():
        tasks = component.get("dag", {}).get("tasks", {})
        for name in [
            name
            for name, task in tasks.items()
            if task.get("triggerPolicy", {}).get("condition", "").startswith("!(")
            and value in json.dumps(task["triggerPolicy"])
        ]:
            del tasks[name]
    alone, gate = lint_pipeline(document, GATES)
    assert (alone.kind, gate.kind) == (FaultKind.LONE_CONDITION, FaultKind.UNGUARDED_GATE)
    assert "stands alone" in alone.text
    assert gate.text == "the gate evaluate-model is not followed by an If and an Else"


def test_the_lint_names_a_gate_that_nothing_asks(pinned: dict[str, Any]) -> None:
    document = copy.deepcopy(pinned)
    for component in document["components"].values():
        tasks = component.get("dag", {}).get("tasks", {})
        for task in tasks.values():
            if "evaluate-model-Output" in json.dumps(task.get("triggerPolicy", {})):
                del task["triggerPolicy"]
    (fault,) = lint_pipeline(document, GATES)
    assert (fault.kind, fault.text) == (
        FaultKind.UNGUARDED_GATE, "the gate evaluate-model is not followed by an If and an Else",
    )  # fmt: skip


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of Kubeflow Pipelines")
def test_the_resources_of_kubeflow_are_named_by_content_and_accepted_by_their_schemas(place: GoldenHome) -> None:
    names = []
    for words in ((), ("--set", "training.max_epochs=3")):
        pipeline, version = yaml.safe_load_all(compile_on_volume(place, "kfp-crd", *words, home=str(place.layout.root)))
        for document, kind in ((pipeline, "pipeline"), (version, "pipelineversion")):
            schema = json.loads((SCHEMAS / f"{kind}-pipelines.kubeflow.org-v2beta1.json").read_text())
            jsonschema.validate(document, schema)
        names.append(version["metadata"]["name"])
    assert len(set(names)) == 2


def test_the_settings_of_the_cluster_are_in_the_platform_spec() -> None:
    _, platform = yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name in ("exec-begin-run", "exec-train-model", "exec-report-run"):
        (mount,) = executors[name]["pvcMount"]
        assert mount["mountPath"] == "/var/lib/almanac"
        assert executors[name]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("name", ["electricity.yaml", "electricity-forecasts.yaml"])
def test_the_cluster_ends_a_run_that_takes_too_long_and_forgets_one_that_is_done(name: str) -> None:
    _, platform = yaml.safe_load_all((GOLDEN.parent / name).read_text(encoding="utf-8"))
    assert platform["platforms"]["kubernetes"]["pipelineConfig"] == {
        "activeDeadlineSeconds": 86_400, "resourceTtlOnCompletion": 604_800,
    }  # fmt: skip
