"""The resources that make workers: golden files, valid by their schemas, one pod like another."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.launching.job_spec import JobSpec, LaunchSpec
from components.launching.manifests import job_documents, worker_addresses
from forecasting.config.cluster import ClusterConfig
from tests.integration.kubernetes.pod_security import violations
from tests.unit.launching.fake_kubernetes import SCHEMAS, WORKFLOW, faults_of, schema_of
from tests.unit.launching.golden_jobs import GOLDEN, IMAGE, SETTINGS, golden_text

LAUNCHERS = ("tfjob", "trainjob")
NEEDS_SCHEMAS = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared/schemas")


def documents(**training: Any) -> list[dict[str, Any]]:
    cluster = ClusterConfig.model_validate({**SETTINGS, "training": {"launcher": "trainjob", "workers": 3, **training}})
    return job_documents(JobSpec(LaunchSpec(cluster, IMAGE), "demand", "almanac-demand-1", "k", "/call.json", WORKFLOW))


def pod_of(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Template of the pods."""
    if documents[0]["kind"] == "TFJob":
        return documents[0]["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    return documents[0]["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_resources_of_a_configuration_are_those_of_the_golden_file(launcher):
    assert (GOLDEN / f"{launcher}.yaml").read_text() == golden_text(launcher)


@NEEDS_SCHEMAS
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("gang", ["none", "volcano", "coscheduling"])
def test_the_schema_of_each_resource_accepts_it(launcher, gang):
    queue = {"queue": "night"} if gang == "volcano" else {}
    found = documents(launcher=launcher, gang=gang, priority_class="batch", scheduler="gang-scheduler", **queue)
    assert [faults_of(one) for one in found] == [[]] * len(found)


@NEEDS_SCHEMAS
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_schema_refuses_a_field_that_no_resource_has(launcher):
    found = documents(launcher=launcher)
    pod_of(found)["spec"]["containers"][0]["imagePolicy"] = "Always"
    assert "imagePolicy" in faults_of(found[0])[0]
    assert schema_of(found[-1]["kind"]) is not None


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_workers_are_restricted_and_have_no_token(launcher):
    pod = pod_of(documents(launcher=launcher))["spec"]
    assert violations({"kind": "Pod", "metadata": {"name": "worker"}, "spec": pod}) == []
    assert pod["automountServiceAccountToken"] is False
    # A worker that fails is not started again by itself: the others would not wait for it.
    assert pod["restartPolicy"] == "Never"


def test_both_kinds_run_the_same_pod_but_for_what_finds_the_others():
    tf, train = (pod_of(documents(launcher=launcher)) for launcher in LAUNCHERS)
    (of_tf,), (of_train,) = tf["spec"].pop("containers"), train["spec"].pop("containers")
    assert tf == train
    added = [entry for entry in of_train["env"] if entry not in of_tf["env"]]
    assert [entry["name"] for entry in added] == ["ALMANAC_WORKER_ADDRESSES"]
    assert {**of_train, "name": "tensorflow", "env": of_tf["env"]} == of_tf


def test_addresses_are_the_host_names_that_the_service_of_a_job_set_gives():
    cluster = ClusterConfig.model_validate({"training": {"launcher": "trainjob", "workers": 2, "port": 3333}})
    spec = JobSpec(LaunchSpec(cluster, IMAGE), "demand", "almanac-demand-1", "k", "/call.json")
    name = spec.name
    assert worker_addresses(spec) == (f"{name}-node-0-0.{name}:3333", f"{name}-node-0-1.{name}:3333")


def test_a_job_of_one_worker_names_no_addresses():
    names = [entry["name"] for entry in pod_of(documents(workers=1))["spec"]["containers"][0]["env"]]
    assert "ALMANAC_WORKER_ADDRESSES" not in names


def test_a_name_is_that_of_the_run_and_short_enough_for_host_names():
    one, same, other = (
        JobSpec(LaunchSpec(ClusterConfig(), IMAGE), "m" * 44, run, "k", "/c").name
        for run in ("almanac-" + "x" * 200, "almanac-" + "x" * 200, "almanac-y")
    )
    assert one == same != other
    assert len(f"{one}-node-0-255") <= 63


def test_a_runtime_is_named_by_its_content():
    first, same, other = (documents(workers=n)[0]["metadata"]["name"] for n in (2, 2, 3))
    assert first == same != other


def test_the_golden_files_are_two(tmp_path: Path):
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(LAUNCHERS)
    assert [one["kind"] for one in yaml.safe_load_all((GOLDEN / "trainjob.yaml").read_text())] == [
        "TrainingRuntime",
        "TrainJob",
    ]
