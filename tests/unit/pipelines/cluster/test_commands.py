"""`almanac submit`, `schedule`, `backfill` and `runs -c` against an interface on a port, with the real compiled pipeline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecasting.cluster_runs import begin_cluster_run, end_cluster_run
from forecasting.config import load_config
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import StepRecord, write_step
from pipelines.cluster.backend import submitted_name
from tests.unit.pipelines.cluster.fake_argo import FakeArgo
from tests.unit.pipelines.cluster.fake_kfp import FakeKfp


def almanac(config_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    home = {"ALMANAC_HOME": str(config_path.parent / "home")}
    command = [sys.executable, "-m", "pipelines.cli", *words, "-c", str(config_path)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **home}, timeout=300)


def test_submit_sends_the_compiled_pipeline_once_for_one_request(config_path):
    api = FakeKfp()
    with api as url:
        for _ in range(2):
            done = almanac(
                config_path, "submit", "--host", url, "--request", "monday", "--cutoff", "2026-01-05T00:00:00Z"
            )
            assert done.returncode == 0, done.stderr
    (run,) = api.kept["runs"].values()
    assert done.stdout == f"{run['run_id']}\n"
    package = run["pipeline_spec"]
    assert package["pipeline_spec"]["pipelineInfo"]["name"] == "almanac-toy"
    assert package["platform_spec"]["platforms"]["kubernetes"]["pipelineConfig"]["activeDeadlineSeconds"] == 86_400
    assert run["runtime_config"]["parameters"] == {"cutoff": "2026-01-05T00:00:00+00:00", "request": "monday"}


@pytest.mark.parametrize(
    ("state", "code", "line"), [("SUCCEEDED", 0, "succeeded"), ("FAILED", 5, "failed"), ("CANCELED", 143, "stopped")]
)
def test_submit_that_waits_ends_as_the_run_ended(config_path, state, code, line):
    with FakeKfp(states=[state]) as url:
        done = almanac(config_path, "submit", "--host", url, "--wait")
    assert (done.returncode, done.stdout.split()[-1]) == (code, line), done.stderr


def test_submit_that_waits_says_what_the_record_on_the_volume_says(config_path):
    home, config = HomeLayout(config_path.parent / "home"), load_config(config_path, ["cluster.backend=argo"])
    name = submitted_name("toy", "monday")
    begin_cluster_run(config, home, name)
    refused = StepRecord(StepName.VALIDATE_DATA, RunStatus.REFUSED, started=1.0, summary="gaps fails")
    write_step(home.run(name), refused)
    end_cluster_run(home, name)
    with FakeArgo() as url:
        words = ("submit", "--host", url, "--set", "cluster.backend=argo", "--request", "monday", "--wait")
        done = almanac(config_path, *words)
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{name}  refused: validate_data: gaps fails\n"


def test_a_backfill_runs_one_cutoff_after_another_and_none_twice(config_path):
    api = FakeKfp()
    words = ("--from", "2026-01-01T00:30:00Z", "--to", "2026-01-15T00:30:00Z", "--every", "7d")
    with api as url:
        first = almanac(config_path, "backfill", "--host", url, *words)
        assert first.returncode == 0, first.stderr
        again = almanac(config_path, "backfill", "--host", url, *words, "--json")
    cutoffs = [run["runtime_config"]["parameters"]["cutoff"] for run in api.kept["runs"].values()]
    assert cutoffs == [f"2026-01-{day:02d}T00:00:00+00:00" for day in (1, 8, 15)]
    assert [json.loads(line)["exit_code"] for line in again.stdout.splitlines()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--set", "gates.model.allow_older_cutoff=true"), "must be false for a backfill, which never promotes an older cutoff"),
        (("--from", "2026-02-01T00:00:00Z"), "--from must not lie after --to"),
        (("--to", "2126-01-01T00:00:00Z"), "nor --to after now"),
        (("--every", "90min"), "must be whole steps of data.frequency (1h)"),
        (("--from", "2000-01-01T00:00:00Z", "--every", "1h"), "makes more than 1000 cutoffs"),
    ],
)  # fmt: skip
def test_a_backfill_that_cannot_be_meant_is_refused_before_anything_is_asked(config_path, words, error):
    api = FakeKfp()
    given = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-15T00:00:00Z")
    with api as url:
        done = almanac(config_path, "backfill", "--host", url, *given, *words)
    assert (done.returncode, error in done.stderr) == (2, True), done.stderr
    assert api.asked == []


def test_schedule_and_its_end(config_path):
    api = FakeArgo()
    words = ("--set", "cluster.backend=argo", "--set", "retraining.schedule=0 3 * * 1")
    with api as url:
        done = almanac(config_path, "schedule", "--host", url, *words)
        assert done.stdout == "cron workflow almanac-toy: 0 3 * * 1 in UTC\n", done.stderr
        assert list(api.kept["cronworkflows"]) == ["almanac-toy"]
        ended = almanac(config_path, "schedule", "--remove", "--host", url, *words)
    assert (ended.returncode, ended.stderr) == (0, "the schedule is removed\n")
    assert api.kept["cronworkflows"] == {}


def test_runs_on_the_cluster_are_listed_and_stopped_and_their_logs_shown(config_path):
    api = FakeArgo(phases=["Running"])
    there = ("--set", "cluster.backend=argo", "--host")
    with api as url:
        almanac(config_path, "submit", *there, url, "--request", "monday")
        name = submitted_name("toy", "monday")
        metadata = {"name": "p1", "labels": {"workflows.argoproj.io/workflow": name}}
        api.kept["pods"]["p1"] = {"metadata": metadata}
        listed = almanac(config_path, "runs", "list", *there, url)
        shown = almanac(config_path, "runs", "logs", *there, url)
        stopped = almanac(config_path, "runs", "stop", name, *there, url)
        again = almanac(config_path, "runs", "stop", name, *there, url)
    assert listed.stdout.splitlines()[1].split()[:3] == [name, name, "pending"]
    assert shown.stdout == "==> p1 <==\nlog of p1\n"
    assert (stopped.returncode, stopped.stderr) == (0, f"run {name} was asked to stop\n")
    assert (again.returncode, again.stderr) == (2, f"almanac: run {name} is not going; it is stopped\n")


def test_without_an_address_it_is_said_where_one_is_looked_for(config_path):
    done = almanac(config_path, "submit")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "almanac: cluster.api.url, or --host, must say where the interface of the cluster is; found neither\n"
    )


def test_an_image_by_tag_is_not_submitted(config_path):
    api = FakeArgo()
    with api as url:
        words = ("--host", url, "--set", "cluster.backend=argo", "--image", "trainer=almanac/trainer:1")
        done = almanac(config_path, "submit", *words)
    assert (done.returncode, "name it by digest" in done.stderr) == (2, True), done.stderr
    assert api.asked == []
