"""A launched train_model from its resource to its model, and everything that may become of it in between."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from components.launching.launch_training import launched_step
from forecasting.config import parse_config, step_settings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.steps import StepName
from forecasting.errors import AlmanacError, ArtifactError, ConfigError, RemoteError, RetryableError, StoppedError
from forecasting.stopping import stop_signals
from tests.unit.launching.fake_kubernetes import (
    WORKFLOW,
    FakeKubernetes,
    ends,
    evicted,
    fails,
    lost,
    pod_gone,
    preempted,
    runs,
    together,
    unschedulable,
    waits,
)
from tests.unit.pipelines.cluster.fake_api import Fault
from tests.unit.training.small_run import SETTINGS

ROOT = Path(__file__).parents[3]
LOG = [("2026-01-01T00:00:01Z", "epoch 1"), ("2026-01-01T00:00:02Z", "epoch 2"), ("2026-01-01T00:00:02Z", "saved"),
       ("2026-01-01T00:00:03Z", "epoch 3")]  # fmt: skip


def test_the_output_of_the_chief_is_the_output_of_the_step_and_nothing_is_left(launched):
    fake = FakeKubernetes(story=[runs(), launched.chief_writes])
    with fake as url:
        outcome = launched.attempt(url)
    assert (outcome.passed, outcome.summary) == (True, "12 parameters, 2 replicas")
    assert (launched.root / "partial" / "saved_model" / "saved_model.pb").read_text() == "model"
    assert sorted(path.name for path in (launched.root / "partial").iterdir()) == ["report.json", "saved_model"]
    assert not any(fake.kept.values())
    assert sorted(fake.deleted) == sorted(fake.made)


def test_the_workers_are_told_settings_inputs_and_run(launched):
    fake = FakeKubernetes(story=[launched.chief_writes])
    with fake as url:
        launched.attempt(url)
    call = launched.call
    assert (call["run"], call["cutoff"], call["created"]) == ("almanac-toy-x", "2026-01-01T00:00:00+00:00", 1.0)
    assert call["inputs"] == {"build_features": str(launched.inputs["build_features"])}
    assert '"batch_size":32' in call["settings"]


def test_the_resources_go_with_the_workflow_of_the_step(launched):
    seen = []
    fake = FakeKubernetes(story=[lambda one: seen.append(one.job()), launched.chief_writes])
    with fake as url:
        launched.attempt(url)
    assert seen[0]["metadata"]["ownerReferences"] == [WORKFLOW]


def rights() -> set[tuple[str, str]]:
    """Resources and verbs of the role that the manifests give a launching step."""
    text = (ROOT / "infra/kustomize/components/training/account.yaml").read_text(encoding="utf-8")
    (role,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "Role"]
    return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def test_a_step_asks_for_all_rights_of_its_role_and_no_others(launched):
    fake = FakeKubernetes(story=[runs(), launched.chief_writes], log=list(LOG))
    with fake as url:
        launched.attempt(url)
        fake.story, fake.lingers = [evicted(1), fails()], 1
        with pytest.raises(RetryableError):
            launched.attempt(url, keep_failed=True)
        fake.story = [launched.chief_writes]
        launched.attempt(url, launched.root / "again")
    other = {"trainjob": {"tfjobs"}, "tfjob": {"trainjobs", "trainingruntimes"}}[launched.settings["launcher"]]
    assert fake.used == {(resource, verb) for resource, verb in rights() if resource not in other}


@pytest.mark.parametrize("taken", [evicted(1), preempted(1)], ids=["evicted", "preempted"])
def test_workers_that_were_taken_away_make_the_step_one_to_try_again(launched, taken):
    # The chief ends with 75 because the other one is gone.
    fake = FakeKubernetes(story=[runs(), taken, together(ends(0, 75, "almanac: worker 1 is gone"), fails())])
    with (
        fake as url,
        pytest.raises(RetryableError, match=r"worker 1 .* was taken away: (Evicted|PreemptionByScheduler)") as found,
    ):
        launched.attempt(url)
    assert found.value.exit_code == ExitCode.RETRY
    assert not any(fake.kept.values())


def test_a_preempted_worker_is_remembered_after_its_pod_is_gone(launched):
    fake = FakeKubernetes(story=[runs(), preempted(1), together(pod_gone(1), ends(0, 1), fails())])
    with fake as url, pytest.raises(RetryableError, match="was taken away: PreemptionByScheduler"):
        launched.attempt(url)


@pytest.mark.parametrize("codes", [(75, 137), (143, 143), (75, 75)])
def test_passing_ends_of_workers_make_the_step_one_to_try_again(launched, codes):
    fake = FakeKubernetes(story=[runs(), together(ends(0, codes[0]), ends(1, codes[1]), fails())])
    with fake as url, pytest.raises(RetryableError, match=f"ended with {min(codes)}"):
        launched.attempt(url)


@pytest.mark.parametrize(("code", "kind"), [(2, ConfigError), (5, RemoteError), (1, AlmanacError), (139, AlmanacError)])
def test_a_final_end_of_one_worker_is_that_of_the_step_whatever_the_others_ended_with(launched, code, kind):
    said = "Traceback\nalmanac: training.batch_size must be a multiple of the replicas\n"
    fake = FakeKubernetes(story=[runs(), together(ends(0, 75), ends(1, code, said), fails())])
    with fake as url, pytest.raises(kind, match=f"ended with {code}: training.batch_size must be a multiple") as found:
        launched.attempt(url)
    assert type(found.value) is kind
    assert not any(fake.kept.values())


def test_a_job_whose_pods_are_gone_when_it_fails_is_tried_again(launched):
    fake = FakeKubernetes(story=[runs(), together(pod_gone(1), pod_gone(0), fails("deadline exceeded"))])
    with fake as url, pytest.raises(RetryableError, match=r"workers .*not known.*|ended with"):
        launched.attempt(url)


def test_a_half_ready_gang_is_removed_after_its_time_and_says_who_is_missing(launched):
    fake = FakeKubernetes(
        story=[together(runs(0), unschedulable(1, "0/3 nodes have a GPU"))] + [lambda _fake: None] * 30
    )
    with (
        fake as url,
        pytest.raises(RetryableError, match=r"all 2 workers must run within .* found 1; worker 1: Unschedulable 0/3"),
    ):
        launched.attempt(url, start_deadline="10s")
    assert 10 < launched.clock.now < 30
    assert not any(fake.kept.values())


def test_a_gang_that_was_whole_once_has_no_deadline_any_more(launched):
    story = [runs(), *[lambda _fake: None] * 30, launched.chief_writes]
    with FakeKubernetes(story=story) as url:
        assert launched.attempt(url, start_deadline="3s").passed


def test_a_container_that_can_never_start_ends_the_step_at_once(launched):
    fake = FakeKubernetes(story=[waits(1, reason="InvalidImageName", message="no such name")])
    with fake as url, pytest.raises(ConfigError, match=r"worker 1 .* cannot start: InvalidImageName no such name"):
        launched.attempt(url)
    assert not any(fake.kept.values())


@pytest.mark.parametrize("how", ["expired", "error event", "half a line"])
def test_a_watch_that_is_lost_is_begun_again(launched, how):
    fake = FakeKubernetes(story=[runs(), lost(how), lost(how), launched.chief_writes])
    with fake as url:
        assert launched.attempt(url).passed
    assert fake.count("GET", "jobs") == 4


def test_errors_of_the_interface_that_pass_are_waited_for(launched):
    fake = FakeKubernetes(story=[runs(), launched.chief_writes])
    fake.faults = [
        Fault(status=500),
        Fault(drop=True),
        Fault(status=429, headers={"Retry-After": "1"}),
        Fault(status=503),
    ]
    with fake as url:
        assert launched.attempt(url).passed
    assert fake.faults == []


@pytest.mark.parametrize(
    "fault", [Fault(status=500, done=True, method="POST"), Fault(drop=True, done=True, method="POST")]
)
def test_a_job_whose_making_was_not_answered_is_made_once(launched, fault):
    fake = FakeKubernetes(story=[launched.chief_writes], faults=[fault, fault])
    with fake as url:
        assert launched.attempt(url).passed
    assert fake.faults == []
    assert len(fake.made) == len(set(fake.made))


def test_an_interface_that_cannot_be_reached_leaves_the_job_to_the_next_attempt(launched):
    def away(one: FakeKubernetes) -> None:
        one.faults = [Fault(status=503)] * 99

    fake = FakeKubernetes(story=[runs(), away])
    with fake as url:
        with pytest.raises(RetryableError, match="answered 503"):
            launched.attempt(url)
        fake.faults = []
        first = fake.job()["metadata"]["uid"]
        fake.story = [
            lambda one: None if one.job()["metadata"]["uid"] == first else fails()(one),
            launched.chief_writes,
        ]
        assert launched.attempt(url).passed
    # One of each resource: the second attempt went on with the job of the first.
    assert len(fake.made) == len(set(fake.made)) == len(fake.deleted)


def test_an_attempt_that_was_killed_after_the_end_of_its_job_has_its_model_taken_over(launched):
    fake = FakeKubernetes(story=[launched.chief_writes])
    away = [Fault(status=503)] * 99

    def last(one: FakeKubernetes) -> None:
        launched.chief_writes(one)
        one.faults = list(away)

    fake.story = [last]
    with fake as url:
        with pytest.raises(RetryableError):
            launched.attempt(url)
        fake.faults = []
        assert launched.attempt(url).summary == "12 parameters, 2 replicas"
    assert len(fake.made) == len(set(fake.made))


def test_a_failed_job_of_an_earlier_attempt_is_removed_and_waited_for_before_another_is_made(launched):
    fake = FakeKubernetes(story=[evicted(0), fails()], lingers=4)
    with fake as url:
        with pytest.raises(RetryableError):
            launched.attempt(url, keep_failed=True)
        kept = fake.job()["metadata"]["uid"]
        fake.story = [launched.chief_writes]
        assert launched.attempt(url).passed
    assert kept
    assert launched.clock.now > 3


def test_a_job_that_does_not_go_is_not_made_twice(launched):
    fake = FakeKubernetes(story=[evicted(0), fails()])
    with fake as url:
        with pytest.raises(RetryableError):
            launched.attempt(url, keep_failed=True)
        fake.lingers = 10_000
        with pytest.raises(RetryableError, match="must be gone before it is made again"):
            launched.attempt(url)


def test_a_job_of_the_same_run_with_other_settings_gives_way(launched):
    fake = FakeKubernetes(story=[runs(), lambda one: setattr(one, "faults", [Fault(status=503)] * 99)])
    with fake as url:
        with pytest.raises(RetryableError):
            launched.attempt(url)
        fake.faults = []
        launched.set_key("key-2")
        fake.story = [launched.chief_writes]
        assert launched.attempt(url).passed
    jobs = [name for name in fake.made if "-" not in name.removeprefix("almanac-train-")]
    assert len(jobs) == 2


def test_a_job_of_this_name_that_is_of_another_run_is_left_alone(launched):
    fake = FakeKubernetes(story=[runs(), lambda one: setattr(one, "faults", [Fault(status=503)] * 99)])
    with fake as url:
        with pytest.raises(RetryableError):
            launched.attempt(url)
        fake.faults = []
        fake.job()["metadata"]["annotations"]["almanac/run"] = "somebody-else"
        with pytest.raises(RemoteError, match="must be of run 'almanac-toy-x', found 'somebody-else'"):
            launched.attempt(url)
        assert fake.job()
    assert fake.deleted == []


def test_a_job_that_somebody_removes_is_tried_again(launched):
    def removed(one: FakeKubernetes) -> None:
        for kept in one.kept.values():
            kept.clear()

    with (
        FakeKubernetes(story=[runs(), removed]) as url,
        pytest.raises(RetryableError, match="was removed while its workers trained"),
    ):
        launched.attempt(url)


def test_a_step_that_is_told_to_stop_removes_its_job_and_ends_with_143(launched):
    fake = FakeKubernetes(
        story=[runs(), lambda _fake: os.kill(os.getpid(), signal.SIGTERM)] + [lambda _fake: None] * 30
    )
    with fake as url, pytest.raises(StoppedError) as found, stop_signals("it goes on later"):
        launched.attempt(url)
    assert found.value.exit_code == ExitCode.STOPPED
    assert not any(fake.kept.values())


def test_a_job_that_went_well_without_a_model_says_that_the_volume_is_not_shared(launched):
    fake = FakeKubernetes(story=[lambda one: one.condition(one.kind().ended, "AllDone")])
    with fake as url, pytest.raises(ArtifactError, match=r"outcome\.json must be what the chief of the workers wrote"):
        launched.attempt(url)
    assert not any(fake.kept.values())


@pytest.mark.parametrize("cuts", [[], [1], [2, 2, 1], [3, 0, 0]])
def test_every_line_of_the_chief_is_told_once_however_often_its_log_is_cut_off(by_trainjob, caplog, cuts):
    caplog.set_level(logging.INFO)
    waited = [lambda _fake: time.sleep(0.05)] * 8
    fake = FakeKubernetes(story=[runs(), *waited, by_trainjob.chief_writes], log=list(LOG), cuts=list(cuts))
    with fake as url:
        by_trainjob.attempt(url)
    told = [record.message for record in caplog.records if record.message.startswith("worker 0: ")]
    assert told == [f"worker 0: {text}" for _, text in LOG]


def test_a_step_outside_of_a_cluster_says_so(by_trainjob, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    step = launched_step(by_trainjob.cluster().model_dump_json(), "image")
    settings = step_settings(parse_config(SETTINGS, source="toy"), StepName.TRAIN_MODEL)
    with pytest.raises(ConfigError, match=r"cluster\.training\.launcher is of steps that run in a pod"):
        step(settings, by_trainjob.inputs, by_trainjob.root, by_trainjob.context)
