"""The Argo resources do what the local run does: on the path that passes, is refused, crashes, or is tried again."""

import json
import os
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
from tests.contract.golden_home import GoldenHome, make_golden_home

PROJECT = Path(__file__).resolve().parents[2]
SCHEMAS = PROJECT.parent / "shared" / "schemas"
DIGEST = "sha256:" + "0" * 64
ALL_SUCCEEDED = {step.value: "succeeded" for step in steps_of()}


@pytest.fixture
def place(tmp_path: Path) -> GoldenHome:
    table = tmp_path / "place" / "home" / "table.csv"
    table.parent.mkdir(parents=True)
    table.write_text("timestamp,load\n2026-01-01,1\n")
    return make_golden_home(tmp_path / "place", table)


def on_volume(place: GoldenHome) -> tuple[str, str]:
    """Words that mount the volume where the home of the test lies, so that the table is on it."""
    return ("--set", f"cluster.home={place.layout.root}")


def documents_of(place: GoldenHome, *words: str) -> list[dict]:
    target = place.folder / "argo.yaml"
    done = place.almanac(
        "compile",
        "-c",
        str(place.config),
        "-o",
        str(target),
        "--format",
        "argo",
        "--allow-tags",
        *on_volume(place),
        *words,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(target.read_text()))


def workflow(place: GoldenHome, wish: str = "", *words: str, **arguments: str) -> ArgoInterpreter:
    documents = documents_of(place, *words)
    config, scratch = place.folder / "etc", place.folder / "scratch"
    for folder in (config, scratch):
        folder.mkdir(exist_ok=True)
    (found,) = [document["data"] for document in documents if document["kind"] == "ConfigMap"]
    for name, text in found.items():
        (config / name).write_text(text)
    # The first that fits counts: the home of a test lies below /tmp, too.
    mounts = {str(place.layout.root): place.layout.root, "/etc/almanac": config, "/tmp": scratch}
    environment = {key: value for key, value in place.environment(wish).items() if key != "ALMANAC_HOME"}
    inherited = {key for key in environment if os.environ.get(key) == environment[key]}
    own = {key: value for key, value in environment.items() if key not in inherited}
    return ArgoInterpreter(documents, "almanac-toy-1", mounts, own, dict(arguments))


def states(place: GoldenHome) -> dict[str, str]:
    return {
        step.value: record.status.value for step, record in load_run(place.layout.run("almanac-toy-1")).steps.items()
    }


def test_a_scheduled_run_that_passes_does_every_step_up_to_the_time_it_was_due(place: GoldenHome) -> None:
    place.config.write_text(place.config.read_text() + "retraining: {data_lag: 2h}\n")
    argo = workflow(place, scheduled="2026-03-02T03:20:00Z")
    assert argo.run() == "Succeeded"
    record = load_run(place.layout.run("almanac-toy-1"))
    assert (record.status, record.exit_code) == (RunStatus.SUCCEEDED, 0)
    assert record.cutoff == "2026-03-02T01:00:00+00:00"
    assert states(place) == ALL_SUCCEEDED
    assert {name for name, phase in argo.phases.items() if phase == "Skipped"} == {
        "validate-data-refused", "evaluate-model-refused", "evaluate-compressed-refused", "validate-serving-refused",
    }  # fmt: skip


@pytest.mark.parametrize(("gate", "code"), [("validate_data", 3), ("evaluate_compressed", 4)])
def test_a_refusal_ends_the_workflow_well_and_the_run_as_refused(place: GoldenHome, gate: str, code: int) -> None:
    argo = workflow(place, f"{gate}=refuse")
    assert argo.run() == "Succeeded"
    record = load_run(place.layout.run("almanac-toy-1"))
    assert (record.status, record.refused_by, record.exit_code) == (RunStatus.REFUSED, gate, code)
    names = [step.value for step in steps_of()]
    assert list(states(place)) == [*names[: names.index(gate) + 1], "report_run"]
    assert argo.phases[f"{gate.replace('_', '-')}-refused"] == "Succeeded"


def test_a_workflow_with_a_search_does_it_before_the_training(place: GoldenHome) -> None:
    place.config.write_text(place.config.read_text() + "tuning: {in_run: true}\n")
    argo = workflow(place)
    assert argo.run() == "Succeeded"
    assert list(states(place)) == [step.value for step in StepName]
    spec = next(found["spec"] for found in documents_of(place) if found["kind"] == "WorkflowTemplate")
    tasks = {task["name"]: task for task in spec["templates"][0]["dag"]["tasks"]}
    assert tasks["tune-model"]["depends"] == "build-features.Succeeded"
    assert tasks["train-model"]["depends"] == "tune-model.Succeeded"


def test_a_crash_is_not_tried_again_and_is_reported(place: GoldenHome) -> None:
    argo = workflow(place, "build_features=crash")
    assert argo.run() == "Failed"
    assert argo.attempts["build-features"] == [1]
    assert argo.phases["train-model"] == "Omitted"
    record = load_run(place.layout.run("almanac-toy-1"))
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 1)
    assert states(place)["report_run"] == "succeeded"


@pytest.mark.parametrize(("wish", "code"), [("retry", 75), ("die", 137)])
def test_what_may_pass_is_tried_again(place: GoldenHome, wish: str, code: int) -> None:
    argo = workflow(place, f"build_features={wish}")
    assert argo.run() == "Failed"
    assert argo.attempts["build-features"] == [code, code, code]
    assert load_run(place.layout.run("almanac-toy-1")).exit_code == code


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
    trained = place.layout.run("almanac-toy-1").step(StepName.TRAIN_MODEL) / "payload.json"
    before = trained.stat().st_mtime_ns
    assert workflow(place).run() == "Succeeded"
    assert trained.stat().st_mtime_ns == before
    assert states(place) == ALL_SUCCEEDED


def test_argo_retry_goes_on_with_the_step_that_failed_and_ends_the_run_as_it_then_is(place: GoldenHome) -> None:
    argo = workflow(place, "compress_model=crash")
    assert argo.run() == "Failed"
    assert load_run(place.layout.run("almanac-toy-1")).finished is not None
    argo.environment = workflow(place).environment
    assert argo.retry() == "Succeeded"
    assert argo.attempts["begin-run"] == argo.attempts["train-model"] == [0]
    assert argo.attempts["compress-model"] == [1, 0]
    record = load_run(place.layout.run("almanac-toy-1"))
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
    words = (
        "compile",
        "-c",
        str(place.config),
        "-o",
        str(place.folder / "x.yaml"),
        "--format",
        "argo",
        *on_volume(place),
    )
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


@pytest.mark.parametrize(("layout", "name"), [("argo", "electricity-argo.yaml"), ("kfp-crd", "electricity-crd.yaml")])
def test_the_compiled_example_is_the_golden_file(place: GoldenHome, layout: str, name: str) -> None:
    target, source = place.folder / "golden.yaml", PROJECT / "pipelines" / "configs" / "electricity.yaml"
    done = place.almanac("compile", "-c", str(source), "-o", str(target), "--format", layout, "--allow-tags")
    assert done.returncode == 0, done.stderr
    golden = Path(__file__).parent / "golden" / name
    assert target.read_text() == golden.read_text(), "run make golden and read the diff"
