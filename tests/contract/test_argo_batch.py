"""The pipeline forecast_batch as resources of Argo: parameters, schedule, retries, and what its pod may do."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from forecasting.contracts.codes import ExitCode
from tests.contract.engines import argo_workflow, compile_on_volume, make_place
from tests.contract.golden_home import GoldenHome

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "schemas"
BATCH = ("--pipeline", "forecast_batch")
DAILY = (*BATCH, "--set", "batch={to: forecasts, schedule: '0 4 * * *', time_zone: Europe/Berlin}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> GoldenHome:
    return make_place(tmp_path_factory.mktemp("batch") / "place")


def compiled(place: GoldenHome, *words: str) -> dict[str, dict[str, Any]]:
    """Resources by kind."""
    documents = yaml.safe_load_all(compile_on_volume(place, "argo", *words, home=str(place.layout.root)))
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def daily(place: GoldenHome) -> dict[str, dict[str, Any]]:
    return compiled(place, *DAILY)


def test_a_schedule_gives_the_time_it_was_due_as_cutoff(daily: dict[str, dict[str, Any]]) -> None:
    cron, template = daily["CronWorkflow"], daily["WorkflowTemplate"]
    assert cron["metadata"]["name"] == template["metadata"]["name"] == "almanac-toy-forecasts"
    assert (cron["spec"]["schedules"], cron["spec"]["timezone"]) == (["0 4 * * *"], "Europe/Berlin")
    assert cron["spec"]["workflowSpec"] == {
        "workflowTemplateRef": {"name": "almanac-toy-forecasts"},
        "arguments": {"parameters": [{"name": "cutoff", "value": "{{workflow.scheduledTime}}"}]},
    }


def test_without_a_schedule_and_a_place_there_is_a_template_that_has_to_be_told_where_to(place: GoldenHome) -> None:
    documents = compiled(place, *BATCH)
    assert set(documents) == {"ConfigMap", "WorkflowTemplate"}
    assert documents["WorkflowTemplate"]["spec"]["arguments"]["parameters"] == [
        {"name": "to"}, {"name": "cutoff", "value": ""}, {"name": "version", "value": "0"},
    ]  # fmt: skip


def test_the_place_of_the_configuration_is_the_default(daily: dict[str, dict[str, Any]]) -> None:
    assert daily["WorkflowTemplate"]["spec"]["arguments"]["parameters"][0] == {"name": "to", "value": "forecasts"}


def test_it_is_tried_again_as_often_and_as_late_as_on_kubeflow_but_only_where_that_may_help(
    daily: dict[str, dict[str, Any]],
) -> None:
    (pod,) = daily["WorkflowTemplate"]["spec"]["templates"]
    assert (pod["retryStrategy"]["limit"], pod["retryStrategy"]["backoff"]) == (
        3, {"duration": "30", "factor": 2, "cap": "600"},
    )  # fmt: skip
    assert pod["retryStrategy"]["expression"].endswith('lastRetry.exitCode in ["75", "137", "143"])')


def test_a_batch_without_a_champion_ends_with_the_code_of_the_configuration_and_is_not_tried_again(
    place: GoldenHome, daily: dict[str, dict[str, Any]]
) -> None:
    argo = argo_workflow(place, list(daily.values()))
    assert argo.run() == "Failed"
    assert argo.attempts == {"forecast-batch": [ExitCode.CONFIG]}


def test_its_pod_gets_what_is_set_for_batches_and_may_do_as_little_as_the_others(place: GoldenHome) -> None:
    words = ("--set", "cluster.batch={cpu: '4', memory: 16Gi, timeout: 1h, node_selector: {pool: night}}")
    secret = ("--set", "cluster.secrets={DB_PASSWORD: {secret: almanac-db, key: password}}")
    spec = compiled(place, *BATCH, *words, *secret)["WorkflowTemplate"]["spec"]
    (pod,) = spec["templates"]
    container = pod["container"]
    assert container["resources"] == {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"memory": "16Gi"}}
    assert (pod["activeDeadlineSeconds"], pod["nodeSelector"]) == (3600, {"pool": "night"})
    assert {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "almanac-db", "key": "password"}}} in (
        container["env"]
    )
    assert (spec["securityContext"]["runAsNonRoot"], spec["automountServiceAccountToken"]) == (True, False)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--allow-tags", "--set", f"name={'a' * 35}"), "at most 34 characters"),
        ((), "forecast_batch runs in almanac/serving"),
        (("--allow-tags", "--set", "batch.schedule=0 4 * * *"), "batch.schedule needs to know where to; set batch.to"),
        (("--allow-tags", "--set", "batch={to: x, schedule: at four}"), "batch.schedule"),
    ],
)
def test_what_cannot_be_is_refused(place: GoldenHome, words: tuple[str, ...], message: str) -> None:
    target = str(place.folder / "x.yaml")
    done = place.almanac("compile", "-c", str(place.config), "-o", target, "--format", "argo", *BATCH, *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of Argo")
def test_the_schemas_of_argo_accept_the_resources(daily: dict[str, dict[str, Any]]) -> None:
    for kind in ("WorkflowTemplate", "CronWorkflow"):
        schema = json.loads((SCHEMAS / f"{kind.lower()}-argoproj.io-v1alpha1.json").read_text())
        jsonschema.validate(daily[kind], schema)
