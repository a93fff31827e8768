"""The pipeline that a cluster gets runs as the local one does, begins and ends its own run, and has no silent fault."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from forecasting.contracts.vocabulary import RunStatus
from pipelines.cluster.lint import FaultKind, lint_pipeline
from tests.contract.golden_home import GoldenHome, make_golden_home

GOLDEN = Path(__file__).parent / "golden" / "electricity.yaml"
SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "schemas"
GATES = ("validate-data", "evaluate-model", "evaluate-compressed", "validate-serving")
DIGEST = "registry.example/almanac@sha256:" + "0" * 64

PROGRAM = """\
import sys
from pathlib import Path
from kfp import local
from forecasting.config import load_config
from pipelines.graph import build_cluster_pipeline

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[3])
pipeline = build_cluster_pipeline(load_config(Path(sys.argv[1])), lambda task, step: None, run='almanac-toy-x7k2p', scheduled='')
try:
    pipeline(home=sys.argv[2])
except RuntimeError as error:
    print(error)
"""


def kfp_run(place: GoldenHome, wish: str = "") -> None:
    words = [str(place.config), str(place.layout.root), str(place.folder / "kfp")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=place.environment(wish), cwd=place.folder,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> GoldenHome:
    table = tmp_path / "place" / "home" / "table.csv"
    table.parent.mkdir(parents=True)
    table.write_text("timestamp,load\n2026-01-01,1\n")
    return make_golden_home(tmp_path / "place", table)


def test_the_graph_of_a_cluster_begins_does_and_ends_a_run_by_itself(place: GoldenHome) -> None:
    kfp_run(place, "evaluate_compressed=refuse")
    record = place.latest()
    assert (record.status, record.refused_by, record.exit_code) == (RunStatus.REFUSED, "evaluate_compressed", 4)
    assert record.run == "almanac-toy-x7k2p"
    assert list(place.states()) == [
        "validate_data", "build_features", "train_model", "evaluate_model", "compress_model", "evaluate_compressed",
        "report_run",
    ]  # fmt: skip
    assert not list(place.layout.runs.glob(".*.claim"))


def test_a_step_that_crashes_ends_the_run_as_failed(place: GoldenHome) -> None:
    kfp_run(place, "build_features=crash")
    record = place.latest()
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 1)
    assert list(place.states()) == ["validate_data", "build_features", "report_run"]


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
        target = place.folder / "crd.yaml"
        done = place.almanac(
            "compile",
            "-c",
            str(place.config),
            "-o",
            str(target),
            "--format",
            "kfp-crd",
            "--allow-tags",
            "--set",
            f"cluster.home={place.layout.root}",
            *words,
        )
        assert done.returncode == 0, done.stderr
        pipeline, version = yaml.safe_load_all(target.read_text())
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
