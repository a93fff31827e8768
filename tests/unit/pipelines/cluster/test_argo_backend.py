"""Runs and schedules on Argo Workflows: objects named by their request, held to Argo's own schemas."""

from typing import Any

import pytest

from forecasting.cluster_api.session import ApiAddressSpec, ApiSession
from forecasting.config import load_config
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, RemoteError
from pipelines.cluster.argo import argo_documents
from pipelines.cluster.argo_backend import ArgoBackend
from pipelines.cluster.backend import ClusterPhase, SubmissionSpec
from tests.unit.pipelines.cluster.conftest import DIGEST
from tests.unit.pipelines.cluster.fake_api import Fault
from tests.unit.pipelines.cluster.fake_argo import SCHEMAS, FakeArgo

IMAGES = dict.fromkeys([None, *StepName], DIGEST)
SCHEDULE = "retraining.schedule=0 3 * * 1"


def backend(url: str, config_path: Any, *overrides: str) -> ArgoBackend:
    config = load_config(config_path, ["cluster.backend=argo", *overrides])
    settings = ClusterApiConfig(patience="20s", request_timeout="10s")
    session = ApiSession(ApiAddressSpec(url), settings, sleep=lambda _seconds: None)
    return ArgoBackend(config, session, lambda: argo_documents(config, IMAGES))


def test_a_run_is_a_workflow_of_its_own_with_its_configuration_and_parameters(config_path):
    api = FakeArgo()
    with api as url:
        made = backend(url, config_path).submit(SubmissionSpec("r1", "2026-01-01T00:00:00+00:00"))
    (workflow,) = api.kept["workflows"].values()
    (config_map,) = api.kept["configmaps"]
    parameters = {entry["name"]: entry["value"] for entry in workflow["spec"]["arguments"]["parameters"]}
    assert parameters == {"cutoff": "2026-01-01T00:00:00+00:00", "scheduled": "", "request": "r1"}
    assert {"name": "config", "configMap": {"name": config_map}} in workflow["spec"]["volumes"]
    assert workflow["spec"]["onExit"] == "report-run"
    assert (made.request, made.cutoff) == ("r1", "2026-01-01T00:00:00+00:00")
    assert not api.kept["workflowtemplates"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, done=True, method="POST"),
        Fault(drop=True, done=True, method="POST"),
        Fault(status=503, method="POST"),
    ],
)
def test_a_request_has_one_run_whatever_becomes_of_an_answer(config_path, fault):
    # Of the configuration, and of the workflow.
    api = FakeArgo(faults=[fault, fault])
    with api as url:
        asking = backend(url, config_path)
        made = asking.submit(SubmissionSpec("r1"))
        assert asking.submit(SubmissionSpec("r1")).id == made.id
    assert api.faults == []
    assert (len(api.kept["workflows"]), len(api.kept["configmaps"])) == (1, 1)


def test_a_workflow_of_another_request_with_this_name_is_not_taken_for_the_run(config_path):
    api = FakeArgo()
    with api as url:
        asking = backend(url, config_path)
        made = asking.submit(SubmissionSpec("r1"))
        api.kept["workflows"][made.id]["metadata"]["annotations"] = {}
        with pytest.raises(RemoteError, match="is of another request, None"):
            asking.submit(SubmissionSpec("r1"))


def test_runs_are_listed_over_all_pages_newest_first_and_those_of_other_models_are_not(config_path):
    api = FakeArgo(page_size=2, expire_once=True)
    with api as url:
        asking = backend(url, config_path)
        made = [asking.submit(SubmissionSpec(f"r{number}")).id for number in range(5)]
        backend(url, config_path, "name=other").submit(SubmissionSpec("r1"))
        assert [found.id for found in asking.runs()] == made[::-1]
    assert not api.expire_once


@pytest.mark.parametrize(
    ("phase", "expected"),
    [("Pending", "pending"), ("Running", "running"), ("Succeeded", "succeeded"), ("Error", "failed")],
)
def test_a_phase_of_argo_has_a_word(config_path, phase, expected):
    with FakeArgo(phases=[phase]) as url:
        asking = backend(url, config_path)
        assert asking.run(asking.submit(SubmissionSpec("r1")).id).phase.value == expected


def test_a_run_that_goes_on_is_stopped_so_that_its_report_is_done_and_one_that_is_over_is_not(config_path):
    api = FakeArgo(phases=["Running"])
    with api as url:
        asking = backend(url, config_path)
        name = asking.submit(SubmissionSpec("r1")).id
        assert asking.stop(name).phase == ClusterPhase.STOPPED
        assert api.kept["workflows"][name]["spec"]["shutdown"] == "Stop"
        with pytest.raises(ConfigError, match="is not going; it is stopped"):
            asking.stop(name)


def test_the_logs_of_a_step_are_those_of_its_pods(config_path):
    api = FakeArgo()
    with api as url:
        asking = backend(url, config_path)
        name = asking.submit(SubmissionSpec("r1")).id
        for pod, task in (("p1", "train-model(0)"), ("p2", "train-model(1)"), ("p3", "onExit")):
            metadata = {
                "name": pod,
                "labels": {"workflows.argoproj.io/workflow": name},
                "annotations": {"workflows.argoproj.io/node-name": f"{name}.{task}"},
            }
            api.kept["pods"][pod] = {"metadata": metadata}
        api.page_size = 10
        assert list(asking.logs(name, StepName.TRAIN_MODEL)) == [
            ("train-model(0)", "log of p1\n"), ("train-model(1)", "log of p2\n"),
        ]  # fmt: skip
        assert [task for task, _ in asking.logs(name, None)][-1] == "onExit"


def test_a_run_that_is_not_there_is_named(config_path):
    with FakeArgo() as url, pytest.raises(RemoteError, match=r'workflows/nothing .*workflows "nothing" not found'):
        backend(url, config_path).run("nothing")


def test_a_schedule_and_its_template_are_put_in_the_place_of_what_is_there(config_path):
    api = FakeArgo()
    with api as url:
        backend(url, config_path, SCHEDULE).schedule()
        backend(url, config_path, "retraining.schedule=0 4 * * 1", "retraining.time_zone=Europe/Berlin").schedule()
    (cron,) = api.kept["cronworkflows"].values()
    assert (cron["spec"]["schedules"], cron["spec"]["timezone"]) == (["0 4 * * 1"], "Europe/Berlin")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["workflowMetadata"]["labels"]["app.kubernetes.io/instance"] == "toy"
    (template,) = api.kept["workflowtemplates"].values()
    assert template["metadata"]["name"] == cron["spec"]["workflowSpec"]["workflowTemplateRef"]["name"]


def test_a_schedule_is_removed(config_path):
    with FakeArgo() as url:
        asking = backend(url, config_path, SCHEDULE)
        asking.schedule()
        assert asking.unschedule()
        assert not asking.unschedule()


def test_without_a_schedule_there_is_nothing_to_create(config_path):
    api = FakeArgo()
    with api as url, pytest.raises(ConfigError, match=r"retraining.schedule must be set"):
        backend(url, config_path).schedule()
    assert api.asked == []


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of Argo")
def test_the_fake_refuses_a_field_that_argo_does_not_have(config_path):
    with FakeArgo() as url:
        asking = backend(url, config_path)
        documents = asking._documents()
        documents[1]["spec"]["entrypiont"] = "pipeline"
        asking._documents = lambda: documents
        with pytest.raises(RemoteError, match=r"answered 422: Workflow is not valid: .*entrypiont"):
            asking.submit(SubmissionSpec("r1"))
