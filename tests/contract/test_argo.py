"""The Argo resources: retries, schedules, what pods get. The paths that every engine goes alike are in `test_paths.py`."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from forecasting.cluster_runs import begin_cluster_run
from forecasting.config import load_config
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import load_run
from tests.contract.argo_interpreter import ArgoInterpreter
from tests.contract.engines import RUN, argo_workflow, compile_on_volume, make_place
from tests.contract.golden_home import PROJECT, GoldenHome, compile_example

SCHEMAS = PROJECT.parent / "shared" / "schemas"
DIGEST = "sha256:" + "0" * 64
ALL_SUCCEEDED = {step.value: "succeeded" for step in steps_of()}


@pytest.fixture
def place(tmp_path: Path) -> GoldenHome:
    return make_place(tmp_path / "place")


def documents_of(place: GoldenHome, *words: str) -> list[dict]:
    return list(yaml.safe_load_all(compile_on_volume(place, "argo", *words, home=str(place.layout.root))))


def workflow(place: GoldenHome, wish: str = "", *words: str, **arguments: str) -> ArgoInterpreter:
    return argo_workflow(place, documents_of(place, *words), wish, **arguments)


def states(place: GoldenHome) -> dict[str, str]:
    return {step.value: record.status.value for step, record in load_run(place.layout.run(RUN)).steps.items()}


def test_a_scheduled_run_reads_up_to_the_time_it_was_due_and_a_refusal_is_recorded_by_a_task(place: GoldenHome) -> None:
    place.config.write_text(place.config.read_text() + "retraining: {data_lag: 2h}\n")
    argo = workflow(place, "validate_data=refuse", scheduled="2026-03-02T03:20:00Z")
    assert argo.run() == "Succeeded"
    assert load_run(place.layout.run(RUN)).cutoff == "2026-03-02T01:00:00+00:00"
    assert (argo.phases["validate-data-refused"], argo.phases["build-features"]) == ("Succeeded", "Skipped")
    assert argo.phases["evaluate-model-refused"] == "Omitted"


def test_a_workflow_with_a_search_does_it_before_the_training(place: GoldenHome) -> None:
    place.config.write_text(place.config.read_text() + "tuning: {in_run: true}\n")
    argo = workflow(place)
    assert argo.run() == "Succeeded"
    assert list(states(place)) == [step.value for step in StepName]
    spec = next(found["spec"] for found in documents_of(place) if found["kind"] == "WorkflowTemplate")
    tasks = {task["name"]: task for task in spec["templates"][0]["dag"]["tasks"]}
    assert tasks["tune-model"]["depends"] == "build-features.Succeeded"
    assert tasks["train-model"]["depends"] == "tune-model.Succeeded"


@pytest.mark.parametrize(("wish", "code"), [("retry", 75), ("die", 137)])
def test_what_may_pass_is_tried_again(place: GoldenHome, wish: str, code: int) -> None:
    argo = workflow(place, f"build_features={wish}")
    assert argo.run() == "Failed"
    assert argo.attempts["build-features"] == [code, code, code]
    assert load_run(place.layout.run(RUN)).exit_code == code


def test_a_step_that_was_ended_at_its_time_limit_is_not_tried_again(place: GoldenHome) -> None:
    argo = workflow(place, "build_features=hang", "--set", "cluster.resources={build_features: {timeout: 20s}}")
    assert argo.run() == "Failed"
    assert argo.attempts["build-features"] == [143]


def test_a_table_that_only_this_machine_has_is_refused(place: GoldenHome) -> None:
    words = ("compile", "-c", str(place.config), "-o", str(place.folder / "x.yaml"), "--allow-tags")
    for more in (("--format", "argo"), ("--format", "kfp"), ("--set", "data.uri=sqlite:////srv/load.db")):
        done = place.almanac(*words, *more)
        assert (done.returncode, "or a path under cluster.home (/var/lib/almanac), found /" in done.stderr) == (2, True)
    assert place.almanac(*words, "--set", "data.uri=/var/lib/almanac/load.csv").returncode == 0


def test_a_workflow_that_is_tried_again_keeps_what_was_done(place: GoldenHome) -> None:
    workflow(place, "compress_model=crash").run()
    trained = place.layout.run(RUN).step(StepName.TRAIN_MODEL) / "payload.json"
    before = trained.stat().st_mtime_ns
    assert workflow(place).run() == "Succeeded"
    assert trained.stat().st_mtime_ns == before
    assert states(place) == ALL_SUCCEEDED


def test_argo_retry_goes_on_with_the_step_that_failed_and_ends_the_run_as_it_then_is(place: GoldenHome) -> None:
    argo = workflow(place, "compress_model=crash")
    assert argo.run() == "Failed"
    assert load_run(place.layout.run(RUN)).finished is not None
    argo.environment = workflow(place).environment
    assert argo.retry() == "Succeeded"
    assert argo.attempts["begin-run"] == argo.attempts["train-model"] == [0]
    assert argo.attempts["compress-model"] == [1, 0]
    record = load_run(place.layout.run(RUN))
    assert (record.status, record.exit_code) == (RunStatus.SUCCEEDED, 0)
    assert states(place) == ALL_SUCCEEDED
    assert not list(place.layout.runs.glob(".*.claim"))


def test_argo_retry_waits_for_another_run_of_the_model(place: GoldenHome) -> None:
    argo = workflow(place, "compress_model=crash")
    argo.run()
    begin_cluster_run(load_config(place.config), HomeLayout(place.layout.root), "another")
    argo.environment = workflow(place).environment
    assert argo.retry() == "Failed"
    assert argo.attempts["compress-model"] == [1, 75, 75, 75]


def test_a_second_run_of_the_model_waits_for_the_first(place: GoldenHome) -> None:
    begin_cluster_run(load_config(place.config), HomeLayout(place.layout.root), "another")
    argo = workflow(place)
    assert argo.run() == "Failed"
    assert argo.attempts["begin-run"] == [75, 75, 75]
    assert argo.phases["validate-data"] == "Omitted"


def test_the_schedule_is_one_of_argo_4(place: GoldenHome) -> None:
    place.config.write_text(
        place.config.read_text()
        + "retraining: {schedule: '0 3 * * 1', time_zone: Europe/Berlin}\ncluster: {stop_after_failures: 3}\n"
    )
    (cron,) = [document["spec"] for document in documents_of(place) if document["kind"] == "CronWorkflow"]
    assert (cron["schedules"], cron["timezone"], cron["concurrencyPolicy"]) == (
        ["0 3 * * 1"],
        "Europe/Berlin",
        "Forbid",
    )
    assert cron["startingDeadlineSeconds"] == 3600
    assert cron["stopStrategy"] == {"expression": "cronworkflow.failed >= 3"}
    assert cron["workflowSpec"]["arguments"]["parameters"] == [
        {"name": "scheduled", "value": "{{workflow.scheduledTime}}"}
    ]


def test_resources_secrets_and_taints_of_the_configuration_reach_the_pod(place: GoldenHome) -> None:
    place.config.write_text(
        place.config.read_text()
        + "cluster:\n  secrets: {DB_PASSWORD: {secret: almanac-db, key: password}}\n  resources:\n    train_model: {cpu: '4', memory: 16Gi, gpu: 1,"
        " node_selector: {pool: gpu}, tolerations: [{key: nvidia.com/gpu, operator: Exists}]}\n"
    )
    spec = next(found["spec"] for found in documents_of(place) if found["kind"] == "WorkflowTemplate")
    templates = {template["name"]: template for template in spec["templates"]}
    container = templates["train-model"]["container"]
    assert container["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": "1"}
    assert templates["train-model"]["nodeSelector"] == {"pool": "gpu"}
    assert templates["train-model"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    for name in ("begin-run", "train-model", "report-run"):
        assert {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "almanac-db", "key": "password"}}} in (
            templates[name]["container"]["env"]
        )


def test_every_pod_satisfies_the_restricted_pod_security_standard(place: GoldenHome) -> None:
    spec = next(found["spec"] for found in documents_of(place) if found["kind"] == "WorkflowTemplate")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for template in spec["templates"]:
        if "container" in template:
            own = template["container"]["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True


def test_equal_configurations_give_equal_bytes_and_another_one_another_config_map(place: GoldenHome) -> None:
    first = documents_of(place)
    assert documents_of(place) == first
    changed = documents_of(place, "--set", "training.max_epochs=3")
    assert changed[0]["metadata"]["name"] != first[0]["metadata"]["name"]


def test_a_name_too_long_for_a_schedule_is_refused(place: GoldenHome) -> None:
    words = ("compile", "-c", str(place.config), "-o", str(place.folder / "x.yaml"), "--allow-tags")
    done = place.almanac(*words, "--set", f"name={'a' * 45}")
    assert (done.returncode, "at most 44 characters" in done.stderr) == (2, True)


def test_what_may_be_lost_with_its_pod_is_tried_again(place: GoldenHome) -> None:
    spec = next(found["spec"] for found in documents_of(place) if found["kind"] == "WorkflowTemplate")
    pods = {template["name"]: template for template in spec["templates"] if "container" in template}
    assert {"begin-run", "record-refusal", "report-run", "train-model"} <= pods.keys()
    for template in pods.values():
        assert template["retryStrategy"]["expression"].endswith(
            '&& (lastRetry.status == "Error" || lastRetry.exitCode in ["75", "137", "143"])'
        )


def test_an_image_without_digest_is_refused(place: GoldenHome) -> None:
    words = ("compile", "-c", str(place.config), "-o", str(place.folder / "x.yaml"), "--format", "argo")
    words += ("--set", f"cluster.home={place.layout.root}")
    done = place.almanac(*words)
    assert done.returncode == 2
    assert re.search(r"runs in almanac/\w+:.* name it by digest", done.stderr)
    images = [
        word for target in ("steps", "trainer", "serving") for word in ("--image", f"{target}=registry/a@{DIGEST}")
    ]
    assert place.almanac(*words, *images).returncode == 0


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of Argo")
def test_the_schemas_of_argo_accept_the_resources(place: GoldenHome) -> None:
    place.config.write_text(place.config.read_text() + "retraining: {schedule: '0 3 * * 1'}\n")
    files = {"WorkflowTemplate": "workflowtemplate", "CronWorkflow": "cronworkflow"}
    seen = set()
    for document in documents_of(place):
        if name := files.get(document["kind"]):
            schema = json.loads((SCHEMAS / f"{name}-argoproj.io-v1alpha1.json").read_text())
            jsonschema.validate(document, schema)
            seen.add(name)
    assert seen == {*files.values()}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--format", "argo"), "electricity-argo.yaml"),
        (("--format", "kfp-crd"), "electricity-crd.yaml"),
        (
            ("--format", "argo", "--pipeline", "forecast_batch", "--set", "batch={to: forecasts, schedule: 0 4 * * *}"),
            "electricity-forecasts-argo.yaml",
        ),
    ],
)
def test_the_compiled_example_is_the_golden_file(tmp_path: Path, words: tuple[str, ...], name: str) -> None:
    golden = Path(__file__).parent / "golden" / name
    assert compile_example(tmp_path / "golden.yaml", *words) == golden.read_text(), "run make golden and read the diff"
