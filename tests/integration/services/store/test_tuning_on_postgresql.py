"""Searches of several processes that share one study in a PostgreSQL database."""

import os
import signal
import subprocess
import sys

import optuna
import psycopg
import pytest

from components.tuning.study import SURPLUS, WORKER, open_study
from tests.integration.load_home import document, make_home, wait_until
from tests.integration.services.store.tuning_worker import study_spec

pytestmark = pytest.mark.services

SEARCH = """\
tuning:
  n_trials: 3
  folds: 1
  pruner: none
  storage: ${STUDY}
  space:
    model.units: {low: 16, high: 24}
"""
WORDS = ("--set", "training.max_epochs=1", "--set", "training.refit=false")


def test_three_workers_make_as_many_trials_as_were_asked_for_and_none_twice(address):
    url = address.url.render_as_string(hide_password=False)
    open_study(study_spec(url, "w0"))
    command = [sys.executable, "-m", "tests.integration.services.store.tuning_worker", url]
    workers = [subprocess.Popen([*command, f"w{number}", "20"]) for number in range(3)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0, 0]
    trials = open_study(study_spec(url, "w0")).get_trials()
    scored = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(scored) == 20
    assert len({trial.params["training.learning_rate"] for trial in scored}) == 20
    assert len({trial.user_attrs[WORKER] for trial in scored}) == 3
    assert all(SURPLUS in trial.user_attrs for trial in trials if trial not in scored)


@pytest.mark.slow
def test_two_searches_share_a_study_and_one_of_them_may_be_killed(address, tmp_path, monkeypatch):
    url = address.url.render_as_string(hide_password=False)
    monkeypatch.setenv("STUDY", url)
    homes = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        homes.append(make_home(tmp_path / name))
        homes[-1].config.write_text(homes[-1].config.read_text() + SEARCH)
    killed, other = (home.start("tune", "-c", str(home.config), *WORDS) for home in homes)
    wait_until(lambda: any((homes[0].home / "tuning/load").glob("trial-*.json")), killed, timeout_s=900)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    said = other.communicate(timeout=900)[1]
    assert other.returncode == 0, said
    before = document(homes[1].home / "tuning/load/trials.json")["trials"]
    assert sorted(trial["outcome"] for trial in before) == ["running", "scored", "scored"]
    _silence(url)
    again = homes[1].start("tune", "-c", str(homes[1].config), *WORDS)
    said = again.communicate(timeout=900)[1]
    assert again.returncode == 0, said
    trials = document(homes[1].home / "tuning/load/trials.json")["trials"]
    (lost,) = [trial for trial in trials if trial["outcome"] == "stopped"]
    (retried,) = [trial for trial in trials if trial["number"] > max(one["number"] for one in before)]
    assert (retried["outcome"], retried["settings"]) == ("scored", lost["settings"])
    assert sum(trial["outcome"] == "scored" for trial in trials) == 3


def _silence(url: str) -> None:
    """As if the killed worker had said nothing for ten minutes."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '10 minutes'")
