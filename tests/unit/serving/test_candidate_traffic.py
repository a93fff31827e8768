"""A share of the traffic for the candidate, against real servers."""

import http.client
import json
import re
import shutil
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from forecasting.config.candidate import CandidateConfig, JudgementConfig
from forecasting.config.gateway import GatewayConfig
from forecasting.config.sections import ServingConfig
from forecasting.repository import ModelRepository
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastQuery, ForecastRole, read_forecasts
from forecasting.store.opening import open_store
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from serving.gateway.__main__ import build_parser
from serving.gateway.candidate_traffic import SHADOW, SPLIT, share_of
from serving.launch import _gateway_flags
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE


def test_the_id_of_a_request_decides_the_same_in_every_process():
    assert share_of("order-17", SPLIT) == pytest.approx(0.34885, abs=1e-5)


def test_a_share_is_that_share_of_many_requests_and_independent_of_the_other():
    ids = [f"request-{i}" for i in range(20_000)]
    split = np.array([share_of(one, SPLIT) for one in ids]) < 0.1
    shadow = np.array([share_of(one, SHADOW) for one in ids]) < 0.5
    assert abs(split.mean() - 0.1) < 0.01
    assert abs(shadow[split].mean() - 0.5) < 0.05


def test_the_gateway_is_started_with_the_settings_of_the_configuration():
    limits = JudgementConfig(
        requests=10, period="1h", min_requests=5, max_error_ratio=0, max_p99_ratio=2, max_difference_ratio=0.3,
        max_live_error_ratio=None,
    )  # fmt: skip
    settings = CandidateConfig(weight=0.25, shadow=0.5, judgement=limits)
    flags = _gateway_flags(ServingConfig(), GatewayConfig(candidate=settings))
    parsed = build_parser().parse_args([*flags, "--model=tiny", "--models-dir=models"])
    assert CandidateConfig.model_validate_json(parsed.candidate) == settings


@pytest.fixture(scope="module")
def repository(models, home, tmp_path_factory):
    """Champion 1 of factor 2, candidate 2 of factor 1."""
    root = tmp_path_factory.mktemp("traffic")
    found = ModelRepository(root / "models")
    for factor in (2, 1):
        source = tiny_models.write_version(models, root / f"factor-{factor}", factor=factor, lite=True)
        found.keep_series("tiny", found.publish("tiny", source), home / "series")
    found.promote("tiny", 1)
    found.set_candidate("tiny", 2)
    return found


@contextmanager
def _gateway(repository, folder, settings, *, serve_candidate=True):
    """Address of a gateway with its own store."""
    config = repository.write_server_config()
    if not serve_candidate:
        config = folder / "champion.config"
        base = (repository.root / "tiny").resolve()
        config.write_text(
            f'model_config_list {{ config {{ name: "tiny" base_path: "{base}" model_platform: "tensorflow" '
            "model_version_policy { specific { versions: 1 } } } }\n"
        )
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=folder / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
            if serve_candidate:
                client.wait_available("tiny-candidate", 2)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={repository.root}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", f"--candidate={settings.model_dump_json()}"]
        command += [f"--store=sqlite:///{folder / 'serving.db'}"]
        with listening_process(command, LINE, log=folder / "gateway.log") as (_, addresses):
            yield addresses["http"]


def _ask(address, request_id, **body):
    connection = http.client.HTTPConnection(address, timeout=20)
    headers = {"content-type": "application/json", "x-request-id": request_id}
    connection.request("POST", "/v1/forecast", json.dumps({"series": ["a"], **body}).encode(), headers)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def _metric(address, line):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/metrics")
    found = re.search(rf"^{re.escape(line)} (\S+)$", connection.getresponse().read().decode(), re.MULTILINE)
    connection.close()
    return 0.0 if found is None else float(found[1])


def _wait(condition):
    pause, left = threading.Event(), 200
    while not condition() and left:
        left -= 1
        pause.wait(0.05)
    assert left, "in ten seconds"


def _requests(kind, outcome):
    return f'forecast_candidate_requests_total{{kind="{kind}",model="tiny",outcome="{outcome}"}}'


def test_the_share_of_the_candidate_is_answered_by_it_and_by_it_again(repository, tmp_path):
    with _gateway(repository, tmp_path, CandidateConfig(weight=0.5)) as address:
        ids = [f"r{i}" for i in range(40)]
        found = [_ask(address, one) for one in ids]
        again = [_ask(address, one) for one in ids]
        assert _metric(address, _requests(SPLIT, "answered")) == 2 * sum(share_of(one, SPLIT) < 0.5 for one in ids)
    assert {status for status, _ in found} == {200}
    wanted = ["candidate" if share_of(one, SPLIT) < 0.5 else "champion" for one in ids]
    assert [document["role"] for _, document in found] == wanted
    assert [document for _, document in again] == [document for _, document in found]


def test_what_the_candidate_cannot_answer_the_champion_does(repository, tmp_path):
    settings = CandidateConfig(weight=1, timeout_s=0.5)
    with _gateway(repository, tmp_path, settings, serve_candidate=False) as address:
        found = [_ask(address, f"r{i}") for i in range(3)]
        assert _metric(address, _requests(SPLIT, "failed")) == 3
        assert _metric(address, 'forecast_degraded_total{cause="model_server",model="tiny"}') == 0
    assert {(status, one["role"], one["forecasts"][0]["degraded"]) for status, one in found} == {
        (200, "champion", False)
    }


def test_a_request_that_nobody_can_answer_is_no_fault_of_the_candidate(repository, tmp_path):
    with _gateway(repository, tmp_path, CandidateConfig(weight=1)) as address:
        assert _ask(address, "r", series=["nobody"])[0] == 404
        assert _metric(address, _requests(SPLIT, "failed")) == 0


def test_a_shadow_is_kept_beside_the_champions_answer(repository, tmp_path):
    with _gateway(repository, tmp_path, CandidateConfig(shadow=1, shadow_at_once=5)) as address:
        roles = {_ask(address, f"r{i}")[1]["role"] for i in range(5)}
        _wait(lambda: _metric(address, _requests(SHADOW, "answered")) == 5)
        assert _metric(address, 'forecast_candidate_model_duration_seconds_count{model="tiny",role="champion"}') == 5
    assert roles == {"champion"}
    stored = _stored(tmp_path)
    assert sorted((one.request.partition("/")[0], one.role.value, one.version) for one in stored) == sorted(
        (f"r{i}", role, version) for i in range(5) for role, version in (("champion", 1), ("shadow", 2))
    )
    assert len({one.request for one in stored}) == 5


def test_a_candidate_that_fails_beside_the_champion_is_kept_with_the_reason(repository, tmp_path):
    settings = CandidateConfig(shadow=1, timeout_s=0.3)
    with _gateway(repository, tmp_path, settings, serve_candidate=False) as address:
        assert _ask(address, "r0")[0] == 200
        _wait(lambda: _metric(address, _requests(SHADOW, "failed")) == 1)
    (shadow,) = [one for one in _stored(tmp_path) if one.role is ForecastRole.SHADOW]
    assert (shadow.version, shadow.quantiles, shadow.problem) == (2, None, "the candidate did not answer within 0.3 s")


def test_more_shadows_than_there_may_be_are_dropped_and_counted(repository, tmp_path):
    settings = CandidateConfig(shadow=1, shadow_at_once=1, timeout_s=3)
    with _gateway(repository, tmp_path, settings, serve_candidate=False) as address:
        assert {_ask(address, f"r{i}")[0] for i in range(4)} == {200}
        assert _metric(address, _requests(SHADOW, "dropped")) == 3


def test_without_a_candidate_there_is_no_other_traffic(repository, tmp_path):
    shutil.copytree(repository.root, tmp_path / "models")
    alone = ModelRepository(tmp_path / "models")
    alone.remove_candidate("tiny")
    with _gateway(alone, tmp_path, CandidateConfig(weight=1, shadow=1), serve_candidate=False) as address:
        assert _ask(address, "r")[1]["role"] == "champion"
        assert _metric(address, _requests(SPLIT, "failed")) == 0


def _stored(folder):
    store = open_store(store_address(f"sqlite:///{folder / 'serving.db'}", folder / "x"))
    try:
        return read_forecasts(store, ForecastQuery(model="tiny"))
    finally:
        store.close()
