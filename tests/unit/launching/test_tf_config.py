"""TF_CONFIG from the number of a pod, and what a worker does before TensorFlow is there."""

import json

import pytest

from components.launching.launched_call import LaunchedCallSpec, LaunchedFolder, read_call
from components.launching.tf_config import set_worker_cluster, worker_number
from components.launching.worker import main
from forecasting.errors import ArtifactError, ConfigError

ADDRESSES = "a-0.a:2222,a-1.a:2222,a-2.a:2222"


def test_each_pod_knows_all_workers_and_itself():
    environment = {"ALMANAC_WORKER_ADDRESSES": ADDRESSES, "JOB_COMPLETION_INDEX": "2"}
    set_worker_cluster(environment)
    assert json.loads(environment["TF_CONFIG"]) == {
        "cluster": {"worker": ["a-0.a:2222", "a-1.a:2222", "a-2.a:2222"]},
        "task": {"type": "worker", "index": 2},
    }
    assert worker_number(environment) == 2


def test_what_an_operator_has_set_is_left_as_it_is():
    environment = {"TF_CONFIG": '{"task": {"index": 1}}', "ALMANAC_WORKER_ADDRESSES": ADDRESSES}
    set_worker_cluster(environment)
    assert environment["TF_CONFIG"] == '{"task": {"index": 1}}'
    assert worker_number(environment) == 1


def test_a_worker_that_is_alone_has_none():
    environment = {"JOB_COMPLETION_INDEX": "0"}
    set_worker_cluster(environment)
    assert "TF_CONFIG" not in environment
    assert worker_number(environment) == 0


@pytest.mark.parametrize(
    ("number", "addresses", "told"),
    [("3", ADDRESSES, "one of 3 workers, from 0, found 3"), ("", ADDRESSES, "the number of this worker, found ''"),
     ("-1", ADDRESSES, "found '-1'"), ("0", "a:1,a:1", "must name each worker once")],
)  # fmt: skip
def test_variables_that_do_not_fit_together_are_refused(number, addresses, told):
    with pytest.raises(ConfigError, match=told):
        set_worker_cluster({"ALMANAC_WORKER_ADDRESSES": addresses, "JOB_COMPLETION_INDEX": number})


@pytest.mark.parametrize("text", ["{", "[]", '{"task": {}}', '{"task": {"index": "x"}}'])
def test_a_tf_config_that_does_not_say_which_worker_this_is_is_refused(text):
    with pytest.raises(ConfigError, match="must say which worker this is"):
        worker_number({"TF_CONFIG": text})


def test_a_worker_ends_with_the_code_of_its_error_and_says_it_last(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ALMANAC_WORKER_ADDRESSES", ADDRESSES)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "7")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert main(["--call", str(tmp_path / "call.json")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "almanac: JOB_COMPLETION_INDEX must be the number of one of 3 workers, from 0, found 7"
    )


def test_a_call_is_read_as_it_was_written_and_takes_an_earlier_outcome_away(tmp_path):
    folder = LaunchedFolder(tmp_path / "launched")
    folder.root.mkdir()
    folder.outcome.write_text("{}")
    call = LaunchedCallSpec("/home", "run", "{}", {"build_features": "/x"}, None, 1.0)
    folder.write_call(call)
    assert read_call(folder.call) == call
    assert not folder.outcome.exists()


@pytest.mark.parametrize("text", [None, "{", '{"other": 1}'])
def test_a_call_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "call.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        ArtifactError, match="must be a call of this version, on the volume that launcher and workers share"
    ):
        read_call(path)
