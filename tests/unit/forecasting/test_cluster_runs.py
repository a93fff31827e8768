"""Runs of a cluster: one a model at a time, begun and ended by pods that may die at any moment."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from forecasting.cluster_runs import begin_cluster_run, end_cluster_run, refuse_cluster_run, reopen_cluster_run
from forecasting.config import AlmanacConfig
from forecasting.config.cluster import StepResourcesConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.cutoffs import scheduled_cutoff
from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.execution import run_component
from forecasting.leases import effective_run, model_is_going, model_lease, run_is_going
from forecasting.runs import RunRecord, StepRecord, create_run, find_run, load_run, write_run, write_step


@pytest.fixture
def config() -> AlmanacConfig:
    return AlmanacConfig.model_validate(
        {
            "name": "toy",
            "compression": {"max_accuracy_loss": 0.1},
            "retraining": {"data_lag": "2h"},
            "gates": {
                "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
                "compressed": {"max_mae": 1, "max_rmse": 1},
                "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
            },
        }
    )


@pytest.fixture
def home(tmp_path) -> HomeLayout:
    return HomeLayout(tmp_path)


def test_a_second_run_is_told_to_try_again_until_the_first_has_ended(config, home):
    begin_cluster_run(config, home, "one")
    with pytest.raises(RetryableError, match="run one of 'toy' is going"):
        begin_cluster_run(config, home, "two")
    end_cluster_run(home, "one")
    assert begin_cluster_run(config, home, "two").run == "two"


def test_another_model_may_run_beside_it(config, home):
    begin_cluster_run(config, home, "one")
    assert begin_cluster_run(config.model_copy(update={"name": "other"}), home, "two").model == "other"


def claim_for(*, since_s: float, until_s: float) -> str:
    """The claim of run `one`, begun and ended by the cluster so many seconds from now."""
    now = time.time()
    return json.dumps({"run": "one", "since": now + since_s, "until": now + until_s})


def test_a_claim_says_when_the_cluster_ends_its_run(config, home):
    begin_cluster_run(config, home, "one")
    claim = json.loads((home.runs / ".toy.claim").read_text())
    assert claim["until"] - claim["since"] == 86_400


def test_a_run_that_was_killed_with_all_its_pods_gives_its_claim_up_after_the_deadline(config, home):
    begin_cluster_run(config, home, "one")
    claim = home.runs / ".toy.claim"
    claim.write_text(claim_for(since_s=-86_300, until_s=100))
    with pytest.raises(RetryableError):
        begin_cluster_run(config, home, "two")
    claim.write_text(claim_for(since_s=-86_500, until_s=-100))
    assert begin_cluster_run(config, home, "two").run == "two"


def test_a_claim_without_a_record_holds_for_minutes_only(config, home):
    home.runs.mkdir()
    claim = home.runs / ".toy.claim"
    claim.write_text(claim_for(since_s=-200, until_s=86_000))
    with pytest.raises(RetryableError):
        begin_cluster_run(config, home, "two")
    claim.write_text(claim_for(since_s=-400, until_s=86_000))
    assert begin_cluster_run(config, home, "two").run == "two"


def test_a_process_that_runs_the_model_and_a_run_of_a_cluster_exclude_each_other(config, home):
    with model_lease(home, "toy"):
        with pytest.raises(RetryableError, match="a process runs the pipeline of 'toy'"):
            begin_cluster_run(config, home, "one")
        assert not (home.runs / ".toy.claim").exists()
    begin_cluster_run(config, home, "one")
    assert model_is_going(home, "toy")
    with pytest.raises(RetryableError, match="run one of 'toy' is going on a cluster"), model_lease(home, "toy"):
        pass
    end_cluster_run(home, "one")
    assert not model_is_going(home, "toy")
    with model_lease(home, "toy"):
        assert model_is_going(home, "toy")


def test_a_run_of_a_cluster_is_shown_as_running_while_it_has_the_claim(config, home):
    begin_cluster_run(config, home, "one")
    layout = home.run("one")
    assert run_is_going(layout)
    assert effective_run(layout).status == RunStatus.RUNNING
    (home.runs / ".toy.claim").write_text(claim_for(since_s=-86_500, until_s=-100))
    assert not run_is_going(layout)
    assert effective_run(layout).status == RunStatus.STOPPED


def test_a_run_that_has_ended_is_opened_again_by_a_step_that_is_done_again(config, home):
    begin_cluster_run(config, home, "one")
    layout = home.run("one")
    write_step(layout, StepRecord(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED, started=1.0))
    write_step(layout, StepRecord(StepName.BUILD_FEATURES, RunStatus.FAILED, started=2.0, exit_code=1))
    end_cluster_run(home, "one")
    with pytest.raises(SystemExit) as ended:
        run_component("build_features", "none:none", "{}", {}, home=str(home.root), run="one", cutoff="")
    # It was tried: its settings do not fit, which is another failure than the one before.
    assert ended.value.code == 2
    assert load_run(layout).finished is None
    assert model_is_going(home, "toy")


def test_a_refusal_of_a_run_that_has_ended_opens_it_again_and_takes_the_claim(config, home):
    begin_cluster_run(config, home, "one")
    gate = StepRecord(StepName.VALIDATE_DATA, RunStatus.REFUSED, started=1.0, summary="gaps fails")
    write_step(home.run("one"), gate)
    end_cluster_run(home, "one")
    refuse_cluster_run(home, "one", StepName.VALIDATE_DATA)
    record = load_run(home.run("one"))
    assert (record.finished, record.refused_by, record.reason) == (None, StepName.VALIDATE_DATA, "gaps fails")
    with pytest.raises(RetryableError, match="run one of 'toy' is going"):
        begin_cluster_run(config, home, "two")


def test_the_report_of_a_run_that_has_ended_opens_it_not(config, home):
    begin_cluster_run(config, home, "one")
    end_cluster_run(home, "one")
    with pytest.raises(SystemExit):
        run_component("report_run", "none:none", "{}", {}, home=str(home.root), run="one", cutoff="")
    assert load_run(home.run("one")).finished is not None
    assert not model_is_going(home, "toy")


def test_a_run_of_this_machine_is_not_opened_again_as_one_of_a_cluster(config, home):
    created = RunRecord("20260101T000000Z-toy", "toy", created=1.0, cutoff=None, config_digest="x", finished=2.0)
    layout = create_run(home, created)
    reopen_cluster_run(home, layout.name)
    assert load_run(layout).finished == 2.0


def test_the_latest_run_is_the_one_that_was_begun_last_whatever_it_is_called(config, home):
    begin_cluster_run(config, home, "almanac-toy-zzz")
    end_cluster_run(home, "almanac-toy-zzz")
    create_run(home, RunRecord("20260101T000000Z-toy", "toy", created=time.time() + 5, cutoff=None, config_digest="x"))
    assert find_run(home, "latest").name == "20260101T000000Z-toy"


def test_a_claim_that_cannot_be_read_stops_and_names_the_file(config, home):
    home.runs.mkdir()
    (home.runs / ".toy.claim").write_text("{")
    with pytest.raises(ArtifactError, match=r"\.toy\.claim is no claim"):
        begin_cluster_run(config, home, "one")


def test_beginning_the_same_run_again_keeps_what_was_done_and_forgets_what_failed(config, home):
    record = begin_cluster_run(config, home, "one", scheduled="2026-03-02T03:20:00Z")
    layout = home.run("one")
    write_step(layout, StepRecord(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED, started=1.0))
    write_step(layout, StepRecord(StepName.BUILD_FEATURES, RunStatus.FAILED, started=2.0, exit_code=1))
    assert end_cluster_run(home, "one").exit_code == 1
    again = begin_cluster_run(config, home, "one", scheduled="2026-03-02T09:20:00Z")
    assert (again.cutoff, again.created) == (record.cutoff, record.created)
    assert list(load_run(layout).steps) == [StepName.VALIDATE_DATA]


def test_a_run_of_this_name_with_another_configuration_is_refused(config, home):
    begin_cluster_run(config, home, "one")
    with pytest.raises(ConfigError, match="had another configuration"):
        begin_cluster_run(
            config.model_copy(update={"store": config.store.model_copy(update={"queue_size": 7})}), home, "one"
        )


def test_ending_a_run_leaves_the_claim_of_another_alone(config, home):
    begin_cluster_run(config, home, "one")
    write_run(home.run("one"), replace(load_run(home.run("one")), finished=time.time()))
    begin_cluster_run(config, home, "two")
    end_cluster_run(home, "one")
    with pytest.raises(RetryableError, match="run two"):
        begin_cluster_run(config, home, "three")


@pytest.mark.parametrize(
    ("cutoff", "scheduled", "expected"),
    [
        ("", "", None),
        ("2026-03-01T00:00:00+01:00", "2026-03-02T03:20:00Z", "2026-02-28T23:00:00+00:00"),
        ("", "2026-03-02T03:20:00Z", "2026-03-02T01:00:00+00:00"),
    ],
)
def test_the_cutoff_is_what_was_asked_for_or_what_is_known_at_the_scheduled_time(
    config, home, cutoff, scheduled, expected
):
    assert begin_cluster_run(config, home, "one", cutoff=cutoff, scheduled=scheduled).cutoff == expected


def test_a_run_that_was_asked_for_is_by_no_schedule(config, home):
    record = begin_cluster_run(config, home, "one", scheduled="2026-03-02T03:20:00Z", request="monday")
    assert (record.cutoff, record.request) == (None, "monday")


def test_a_time_that_the_backend_did_not_fill_in_is_refused(config, home):
    with pytest.raises(ConfigError, match="must be filled in by what runs the pipeline"):
        begin_cluster_run(config, home, "one", scheduled="{{$.pipeline_job_schedule_time_utc}}")
    assert not home.runs.exists()


@pytest.mark.parametrize(
    ("cpu", "memory", "accepted"),
    [
        ("2", "4Gi", True), ("0.5", "512Mi", True), ("500m", "1G", True), ("1", "1000000", True), ("1", "8Ki", True),
        ("1k", "4Gi", False), ("1Gi", "4Gi", False), ("0.5m", "4Gi", False), ("1", "1.5Gi", False), ("1", "512k", False),
        ("1", "512K", False), ("1", "100m", False),
    ],
)  # fmt: skip
def test_amounts_are_those_that_kubernetes_and_the_compiler_of_kubeflow_take(cpu, memory, accepted):
    if accepted:
        assert StepResourcesConfig(cpu=cpu, memory=memory).cpu == cpu
        return
    with pytest.raises(ValidationError, match=r"must be (CPUs|whole bytes) such as"):
        StepResourcesConfig(cpu=cpu, memory=memory)


def test_a_scheduled_cutoff_lies_on_the_grid():
    moment = datetime(2026, 3, 2, 3, 20, tzinfo=UTC)
    assert scheduled_cutoff(moment, lag_s=0, step_s=900) == datetime(2026, 3, 2, 3, 15, tzinfo=UTC)
    assert scheduled_cutoff(moment, lag_s=4 * 3600, step_s=86_400) == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(("code", "tried"), [(1, False), (3, False), (75, True), (137, True), (143, True)])
def test_what_failed_for_good_is_not_done_again_by_a_retry(config, home, code, tried):
    begin_cluster_run(config, home, "one")
    layout = home.run("one")
    failed = StepRecord(StepName.BUILD_FEATURES, RunStatus.FAILED, started=1.0, exit_code=code, error="it broke")
    write_step(layout, failed)
    with pytest.raises(SystemExit) as ended:
        run_component("build_features", "none:none", "{}", {}, home=str(home.root), run="one", cutoff="")
    # A try that is made finds settings that do not fit, which is another failure.
    assert ended.value.code == (2 if tried else code)


@pytest.mark.parametrize("name", ["../../x", "a/b", "Clone of one", "", ".one", "one\n"])
def test_a_name_that_is_none_of_kubernetes_is_refused_before_anything_is_written(config, home, name):
    with pytest.raises(ConfigError, match="must be named by"):
        begin_cluster_run(config, home, name)
    assert list(home.root.iterdir()) == []


def test_a_run_that_is_begun_again_with_another_cutoff_is_refused(config, home):
    begin_cluster_run(config, home, "one", cutoff="2026-01-01T00:00:00Z")
    with pytest.raises(ConfigError, match="has the cutoff 2026-01-01"):
        begin_cluster_run(config, home, "one", cutoff="2026-06-01T00:00:00Z")
