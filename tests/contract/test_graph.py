"""The compiled graph: golden file, equal bytes, and the shape that every backend honours."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecasting.contracts.steps import GATES, OPTIONAL, OPTIONAL_PARENTS, PARENTS, StepName, steps_of
from tests.contract.golden_home import PROJECT, compile_example

GOLDEN = PROJECT / "tests/contract/golden/electricity.yaml"
TUNED = PROJECT / "tests/contract/golden/electricity-tuned.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compile_example(tmp_path_factory.mktemp("compiled") / "electricity.yaml")


@pytest.fixture(scope="module")
def graph(compiled: str) -> dict[str, Any]:
    return next(yaml.safe_load_all(compiled))


def _tasks(graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    dags = [graph["root"], *graph["components"].values()]
    return {
        f"{number}/{name}": task
        for number, dag in enumerate(dags)
        for name, task in dag.get("dag", {}).get("tasks", {}).items()
    }


def test_the_compiled_example_is_the_golden_file(compiled: str) -> None:
    assert compiled == GOLDEN.read_text(encoding="utf-8"), (
        "run almanac compile -c pipelines/configs/electricity.yaml -o tests/contract/golden/electricity.yaml and read the diff"
    )


def test_equal_configurations_give_equal_bytes(compiled: str, tmp_path: Path) -> None:
    assert compile_example(tmp_path / "again.yaml") == compiled


def test_every_gate_has_an_if_and_an_else_on_its_single_bool(graph: dict[str, Any]) -> None:
    conditions = [
        task["triggerPolicy"]["condition"]
        for task in _tasks(graph).values()
        if "condition" in task.get("triggerPolicy", {})
    ]
    for gate in GATES:
        value = f"inputs.parameter_values['pipelinechannel--{gate.value.replace('_', '-')}-Output'] == true"
        assert value in conditions
        assert f"!({value})" in conditions
    assert len(conditions) == 2 * len(GATES)


def test_every_step_reads_the_outputs_of_its_parents(graph: dict[str, Any]) -> None:
    for step in steps_of():
        component = graph["components"][f"comp-{step.value.replace('_', '-')}"]
        artifacts = component["inputDefinitions"].get("artifacts", {})
        assert {name for name, found in artifacts.items() if not found.get("isOptional")} == set(PARENTS[step])
        assert {name for name, found in artifacts.items() if found.get("isOptional")} == set(
            OPTIONAL_PARENTS.get(step, ())
        )
    assert "comp-tune-model" not in graph["components"]


def test_a_configuration_with_a_search_in_its_runs_is_the_golden_file_of_it(tmp_path: Path) -> None:
    text = compile_example(tmp_path / "tuned.yaml", "--set", "tuning.in_run=true")
    assert text == TUNED.read_text(encoding="utf-8")


def test_a_search_lies_between_the_features_and_the_training_which_reads_it() -> None:
    tasks = _tasks(next(yaml.safe_load_all(TUNED.read_text(encoding="utf-8"))))
    (search,) = [task for name, task in tasks.items() if name.endswith("/tune-model")]
    (training,) = [task for name, task in tasks.items() if name.endswith("/train-model")]
    assert search["dependentTasks"] == ["build-features"]
    assert set(search["inputs"]["artifacts"]) == {"validate_data"}
    assert training["dependentTasks"] == ["build-features", "tune-model"]
    read = training["inputs"]["artifacts"]["tune_model"]["taskOutputArtifact"]
    assert (read["producerTask"], read["outputArtifactKey"]) == ("tune-model", "output")
    assert OPTIONAL == (StepName.TUNE_MODEL,)


def test_the_report_runs_at_the_end_whatever_happened(graph: dict[str, Any]) -> None:
    task = graph["root"]["dag"]["tasks"]["report-run"]
    assert task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_the_cache_of_kubeflow_is_off_for_every_step(graph: dict[str, Any]) -> None:
    for name, task in _tasks(graph).items():
        if graph["components"][task["componentRef"]["name"]].get("executorLabel"):
            assert not task.get("cachingOptions", {}).get("enableCache"), name


def test_each_step_gets_its_own_sections_only(graph: dict[str, Any]) -> None:
    settings = {
        name.split("/")[1]: json.loads(task["inputs"]["parameters"]["settings"]["runtimeValue"]["constant"])
        for name, task in _tasks(graph).items()
        if "settings" in task.get("inputs", {}).get("parameters", {})
    }
    assert set(settings["train-model"]) == {"name", "forecast", "model", "training"}


def test_an_image_can_be_set_for_each_target(tmp_path: Path) -> None:
    text = compile_example(tmp_path / "x.yaml", "--image", "trainer=registry.example/almanac-trainer@sha256:00")
    executors = next(yaml.safe_load_all(text))["deploymentSpec"]["executors"]
    images = {name: executor["container"]["image"] for name, executor in executors.items()}
    assert images["exec-train-model"] == "registry.example/almanac-trainer@sha256:00"
    assert images["exec-validate-data"] == "almanac/steps:0.1.0-python3.11"


def test_a_run_that_ends_early_has_only_the_steps_up_to_there() -> None:
    code = (
        "from pathlib import Path\nfrom forecasting.config import load_config\nfrom pipelines.graph import build_pipeline\n"
        "from forecasting.contracts.steps import StepName\n"
        "config = load_config(Path('pipelines/configs/electricity.yaml'))\n"
        "print(*build_pipeline(config, StepName.TRAIN_MODEL).pipeline_spec.components)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    components = set(done.stdout.split())
    assert {"comp-validate-data", "comp-train-model", "comp-report-run"} <= components
    assert "comp-evaluate-model" not in components


def test_the_else_of_each_gate_records_the_refusal_of_that_gate(graph: dict[str, Any]) -> None:
    recorded = {}
    for name, task in _tasks(graph).items():
        condition = task.get("triggerPolicy", {}).get("condition", "")
        if condition.startswith("!("):
            (refusal,) = graph["components"][task["componentRef"]["name"]]["dag"]["tasks"].values()
            gate = refusal["inputs"]["parameters"]["gate"]["runtimeValue"]["constant"]
            recorded[gate] = f"pipelinechannel--{gate.replace('_', '-')}-Output" in condition
            assert refusal["componentRef"]["name"].startswith("comp-record-refusal"), name
    assert recorded == {gate.value: True for gate in GATES}
