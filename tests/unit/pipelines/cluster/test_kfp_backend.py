"""Runs and schedules on Kubeflow Pipelines: one run a request, whatever becomes of an answer."""

from typing import Any

import pytest

from forecasting.cluster_api.session import ApiAddressSpec, ApiSession
from forecasting.config import load_config
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, RemoteError
from pipelines.cluster.backend import ClusterPhase, SubmissionSpec
from pipelines.cluster.kfp_backend import KfpBackend
from tests.unit.pipelines.cluster.fake_api import Fault
from tests.unit.pipelines.cluster.fake_kfp import FakeKfp

PACKAGE = {"pipeline_spec": {"root": {}}, "platform_spec": {"platforms": {}}}


def backend(url: str, config_path: Any, *overrides: str, package: dict[str, Any] = PACKAGE) -> KfpBackend:
    config = load_config(config_path, overrides)
    settings = ClusterApiConfig(patience="20s", request_timeout="1s")
    session = ApiSession(ApiAddressSpec(url), settings, sleep=lambda _seconds: None)
    return KfpBackend(config, session, lambda: package)


def test_a_run_is_created_in_the_experiment_of_the_model_with_its_parameters(config_path):
    api = FakeKfp()
    with api as url:
        made = backend(url, config_path).submit(SubmissionSpec("r1", "2026-01-01T00:00:00+00:00"))
    (kept,) = api.kept["runs"].values()
    assert kept["pipeline_spec"] == PACKAGE
    assert kept["runtime_config"] == {"parameters": {"cutoff": "2026-01-01T00:00:00+00:00", "request": "r1"}}
    assert kept["service_account"] == "almanac-pipeline"
    (experiment,) = api.kept["experiments"].values()
    assert experiment["display_name"] == "almanac-toy"
    assert (made.phase, made.request, made.cutoff) == (ClusterPhase.PENDING, "r1", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, done=True, method="POST"),
        Fault(drop=True, done=True, method="POST"),
        Fault(status=503, method="POST"),
        Fault(drop=True, method="POST"),
        Fault(status=500, method="GET"),
        Fault(delay_s=1.5, status=500, done=True, method="POST"),
    ],
)
def test_a_request_has_one_run_whatever_becomes_of_an_answer(config_path, fault):
    api = FakeKfp()
    with api as url:
        asking = backend(url, config_path)
        list(asking.runs())
        api.faults = [fault]
        made = asking.submit(SubmissionSpec("r1"))
        again = asking.submit(SubmissionSpec("r1"))
    assert api.faults == []
    assert made.id == again.id
    assert len(api.kept["runs"]) == 1


def test_an_experiment_that_another_made_meanwhile_is_taken(config_path):
    api = FakeKfp(faults=[Fault(status=409, done=True, method="POST")])
    with api as url:
        backend(url, config_path).submit(SubmissionSpec("r1"))
    assert len(api.kept["experiments"]) == len(api.kept["runs"]) == 1


def test_runs_are_listed_over_all_pages_newest_first_and_those_of_other_experiments_are_not(config_path):
    with FakeKfp(page_size=2) as url:
        asking = backend(url, config_path)
        made = [asking.submit(SubmissionSpec(f"r{number}")).id for number in range(5)]
        backend(url, config_path, "name=other").submit(SubmissionSpec("r1"))
        assert [found.id for found in asking.runs()] == made[::-1]


def test_a_run_is_found_by_its_id_and_by_its_name(config_path):
    with FakeKfp() as url:
        asking = backend(url, config_path)
        made = asking.submit(SubmissionSpec("r1"))
        assert asking.run(made.id).id == asking.run(made.name).id == made.id
        with pytest.raises(RemoteError, match="there is no run 'nothing' in experiment almanac-toy"):
            asking.run("nothing")


def test_a_run_that_goes_on_is_stopped_and_one_that_is_over_is_not(config_path):
    with FakeKfp(states=["RUNNING"]) as url:
        asking = backend(url, config_path)
        made = asking.submit(SubmissionSpec("r1"))
        assert asking.stop(made.name).phase == ClusterPhase.STOPPED
        with pytest.raises(ConfigError, match="is not going; it is stopped"):
            asking.stop(made.name)


def test_the_logs_of_a_step_are_those_of_its_pods(config_path):
    api = FakeKfp()
    with api as url:
        asking = backend(url, config_path)
        made = asking.submit(SubmissionSpec("r1"))
        tasks = [
            {"display_name": "train-model", "pod_name": "p1", "child_tasks": [{"pod_name": "p2"}]},
            {"display_name": "report-run", "pod_name": "p3"},
        ]
        api.kept["runs"][made.id]["run_details"] = {"task_details": tasks}
        assert list(asking.logs(made.id, StepName.TRAIN_MODEL)) == [
            ("train-model", "log of p1\n"), ("train-model", "log of p2\n"),
        ]  # fmt: skip
        assert [task for task, _ in asking.logs(made.id, None)] == ["train-model", "train-model", "report-run"]


SCHEDULE = "retraining.schedule=0 3 * * 1"


def test_a_schedule_catches_nothing_up_and_runs_one_at_a_time(config_path):
    api = FakeKfp()
    with api as url:
        backend(url, config_path, SCHEDULE).schedule()
    (kept,) = api.kept["recurringruns"].values()
    assert (kept["no_catchup"], kept["max_concurrency"], kept["mode"]) == (True, "1", "ENABLE")
    assert kept["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}


def test_an_equal_schedule_is_left_and_another_takes_its_place(config_path):
    api = FakeKfp()
    with api as url:
        backend(url, config_path, SCHEDULE).schedule()
        (first,) = api.kept["recurringruns"]
        backend(url, config_path, SCHEDULE).schedule()
        assert list(api.kept["recurringruns"]) == [first]
        backend(url, config_path, "retraining.schedule=0 4 * * 1").schedule()
    (second,) = api.kept["recurringruns"].values()
    assert second["recurring_run_id"] != first
    assert second["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"


def test_a_schedule_whose_answer_was_lost_is_there_once(config_path):
    api = FakeKfp()
    with api as url:
        asking = backend(url, config_path, SCHEDULE)
        list(asking.runs())
        api.faults = [Fault(drop=True, done=True, method="POST")]
        asking.schedule()
    assert api.faults == []
    assert len(api.kept["recurringruns"]) == 1


def test_a_schedule_is_removed(config_path):
    api = FakeKfp()
    with api as url:
        asking = backend(url, config_path, SCHEDULE)
        asking.schedule()
        assert asking.unschedule()
        assert not asking.unschedule()
    assert api.kept["recurringruns"] == {}


def test_a_time_zone_that_kubeflow_does_not_know_is_refused(config_path):
    api = FakeKfp()
    with api as url, pytest.raises(ConfigError, match="must be UTC on Kubeflow Pipelines"):
        backend(url, config_path, SCHEDULE, "retraining.time_zone=Europe/Berlin").schedule()
    assert api.asked == []


def test_without_a_schedule_there_is_nothing_to_create(config_path):
    with FakeKfp() as url, pytest.raises(ConfigError, match=r"retraining.schedule must be set"):
        backend(url, config_path).schedule()


def test_the_fake_refuses_a_field_that_the_interface_does_not_have(config_path):
    with FakeKfp() as url, pytest.raises(RemoteError, match="answered 400: "):
        backend(url, config_path, package={"pipeline": {}}).submit(SubmissionSpec("r1"))


def test_in_an_installation_of_several_users_the_experiment_is_that_of_the_namespace(config_path):
    api = FakeKfp()
    with api as url:
        backend(url, config_path, "cluster.api.multi_user=true").submit(SubmissionSpec("r1"))
    (experiment,) = api.kept["experiments"].values()
    assert experiment["namespace"] == "almanac"
