"""The compiled pipeline of batches: golden file, parameters, and what every backend honours."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.golden_home import PROJECT, compile_example

GOLDEN = PROJECT / "tests/contract/golden/electricity-forecasts.yaml"


def compile_batch(target: Path, *words: str) -> str:
    return compile_example(target, "--pipeline", "forecast_batch", *words)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compile_batch(tmp_path_factory.mktemp("compiled") / "forecasts.yaml")


@pytest.fixture(scope="module")
def graph(compiled: str) -> dict[str, Any]:
    return next(yaml.safe_load_all(compiled))


def test_the_compiled_example_is_the_golden_file(compiled: str) -> None:
    assert compiled == GOLDEN.read_text(encoding="utf-8"), "run make golden and read the diff"


def test_a_schedule_gives_cutoff_version_and_place_as_parameters(graph: dict[str, Any]) -> None:
    parameters = graph["root"]["inputDefinitions"]["parameters"]
    assert {name: found.get("defaultValue") for name, found in parameters.items()} == {
        "home": None,
        "to": None,
        "cutoff": "",
        "version": 0.0,
    }
    assert {name for name, found in parameters.items() if not found.get("isOptional")} == {"home", "to"}


def test_the_place_of_the_configuration_is_the_default(tmp_path: Path) -> None:
    text = compile_batch(tmp_path / "x.yaml", "--set", "batch.to=postgresql://almanac:${PASSWORD}@db/reports")
    place = next(yaml.safe_load_all(text))["root"]["inputDefinitions"]["parameters"]["to"]
    assert (place["defaultValue"], place["isOptional"]) == ("postgresql://almanac:${PASSWORD}@db/reports", True)


def test_the_task_is_tried_again_and_never_taken_from_the_cache_of_kubeflow(graph: dict[str, Any]) -> None:
    (task,) = graph["root"]["dag"]["tasks"].values()
    assert task["retryPolicy"]["maxRetryCount"] == 3
    assert not task.get("cachingOptions", {}).get("enableCache")


def test_the_image_of_the_model_server_runs_it(tmp_path: Path) -> None:
    text = compile_batch(tmp_path / "x.yaml", "--image", "serving=registry.example/almanac-serving@sha256:00")
    (executor,) = next(yaml.safe_load_all(text))["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == "registry.example/almanac-serving@sha256:00"


def test_a_table_that_only_this_machine_has_is_no_hindrance_for_batches_read_none(tmp_path: Path) -> None:
    assert compile_batch(tmp_path / "x.yaml", "--set", f"data.uri={tmp_path / 'table.csv'}")
