"""`almanac retrain`."""

import json

import pytest

from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from forecasting.store.retrain_requests import retrain_requests
from pipelines.cli import main


@pytest.fixture
def almanac(tmp_path, capsys):
    def run(*words):
        code = main(["--home", str(tmp_path), *words])
        return code, *capsys.readouterr()

    return run


CONFIG = "pipelines/configs/electricity.yaml"


def test_a_request_by_hand_is_written_once_and_listed(almanac, tmp_path):
    assert almanac("retrain", "-c", CONFIG, "--list")[1] == "no request yet\n"
    code, out, _ = almanac("retrain", "-c", CONFIG, "--reason", "new tariffs")
    assert code == 0
    assert out.startswith("request 1 waits for ")
    assert almanac("retrain", "-c", CONFIG)[1] == "nothing is asked for: request 1 is waiting\n"
    assert json.loads(almanac("retrain", "-c", CONFIG, "--json")[1])["outcome"] == "duplicate"
    with open_store(store_address(None, tmp_path / "serving.db")) as store:
        (made,) = retrain_requests(store)
    assert (made.model, made.source, made.reason, made.dedup_key) == ("electricity", "hand", "new tariffs", "hand")
    header, row = almanac("retrain", "-c", CONFIG, "--list")[1].splitlines()
    assert header.split() == ["request", "asked", "by", "state", "run", "what", "came", "of", "it", "why"]
    assert row.split()[0] == "1"
    assert row.endswith("new tariffs")
    (listed,) = json.loads(almanac("retrain", "-c", CONFIG, "--list", "--json")[1])
    assert listed["state"] == "waiting"


@pytest.mark.parametrize("reason", ["", "a\nb", "a" * 501])
def test_a_reason_is_one_line(almanac, reason):
    code, _, err = almanac("retrain", "-c", CONFIG, "--reason", reason)
    assert code == 2
    assert "--reason must be one line of 1 to 500 characters" in err
