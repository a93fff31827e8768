"""Alerts and requests by hand that are posted to a gateway process with tokens and a store."""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.config.retraining import RetrainingConfig
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from forecasting.store.retrain_requests import RequestState, claim_request, finish_request, retrain_requests
from forecasting.wire.server_process import listening_process
from serving.gateway.guard import RateLimit
from serving.gateway.retraining import RetrainAsker
from serving.gateway.retraining_schemas import AlertsDocument, RetrainDocument, RetrainRequestsDocument
from serving.gateway.tokens import TokenScope, make_token
from tests.unit.serving.conftest import LINE


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    path, found, lines = tmp_path_factory.mktemp("tokens") / "tokens", {}, []
    for scope in TokenScope:
        found[scope.value], record = make_token(f"a-{scope.value}", [scope])
        lines.append(record.line())
    path.write_text("\n".join(lines))
    return path, found


def gateway(root, tokens, *more):
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={root / 'models'}"]
    command += ["--grpc=127.0.0.1:9", "--port=0", f"--tokens={tokens[0]}", *more]
    return listening_process(command, LINE, log=root / "gateway.log")


@pytest.fixture(scope="module")
def place(home, tokens, tmp_path_factory):
    """Address of a gateway whose model server is away, and its store."""
    root = tmp_path_factory.mktemp("retraining")
    shutil.copytree(home / "models", root / "models")
    with (
        gateway(
            root, tokens, "--store=default", '--retraining={"cooldown": "1h", "max_per_day": 2, "alert_rate": 1000}'
        ) as (_, addresses),
        open_store(store_address(None, root / "serving.db")) as store,
    ):
        yield addresses["http"], store


@pytest.fixture
def store(place):
    """The store without requests."""
    with place[1].writing() as connection:
        connection.exec_driver_sql("DELETE FROM retrain_requests")
    return place[1]


@pytest.fixture
def send(place, tokens):
    def ask(method, path, body=None, *, scope="admin"):
        connection = http.client.HTTPConnection(place[0], timeout=20)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {} if scope is None else {"authorization": f"Bearer {tokens[1][scope]}"}
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        found = response.status, json.loads(response.read())
        connection.close()
        return found

    return ask


def alert(fingerprint="a1", status="firing", model="tiny", retrain="accuracy"):
    labels = {"alertname": "ForecastAccuracyDegraded", "model": model, "retrain": retrain}
    return {
        "status": status,
        "startsAt": "2026-05-01T12:00:00Z",
        "fingerprint": fingerprint,
        "labels": labels,
        "annotations": {"summary": "1.8 times"},
    }


def post(*alerts):
    return {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "retrain", "alerts": list(alerts)}


def test_a_firing_alert_becomes_one_request_however_often_it_is_posted(store, send):
    status, found = send("POST", "/v1/alerts", post(alert()), scope="alert")
    (made,) = retrain_requests(store)
    assert (status, found) == (
        200,
        {"alerts": [{"fingerprint": "a1", "outcome": "made", "request": made.id, "why": ""}]},
    )
    assert (made.model, made.source, made.dedup_key) == ("tiny", "alert", "alert:ForecastAccuracyDegraded:1777636800")
    assert made.reason == "alert ForecastAccuracyDegraded: 1.8 times"
    for again in (post(alert()), post(alert("b2"), alert())):
        status, found = send("POST", "/v1/alerts", again, scope="alert")
        assert status == 200
        assert {one["outcome"] for one in found["alerts"]} == {"duplicate"}
        assert AlertsDocument.model_validate(found)
    assert retrain_requests(store) == [made]


def test_resolved_alerts_and_those_for_others_are_answered_and_left_alone(store, send):
    alerts = post(alert(status="resolved"), alert("b", retrain=""), alert("c", model="price"))
    status, found = send("POST", "/v1/alerts", alerts, scope="alert")
    assert status == 200
    assert [one["outcome"] for one in found["alerts"]] == ["ignored"] * 3
    assert send("POST", "/v1/alerts", post(), scope="alert") == (200, {"alerts": []})
    assert retrain_requests(store) == []


def test_an_alert_soon_after_a_run_is_held_back(store, send):
    send("POST", "/v1/alerts", post(alert()), scope="alert")
    (made,) = retrain_requests(store)
    held = claim_request(store, "w", now=made.created_at, lease_s=60)
    finish_request(store, held, RequestState.DONE, detail="refused", now=made.created_at)
    _, found = send("POST", "/v1/alerts", post(alert()), scope="alert")
    assert found["alerts"][0]["outcome"] == "limited"
    assert send("POST", "/v1/retrain", {"reason": "now"})[1]["outcome"] == "made"


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"[" * 200_000, {"alerts": {}}, post({"status": "firing"}), post("x"), {"version": "4"}]
)
def test_a_bad_post_of_alerts_is_a_400(store, send, body):
    status, found = send("POST", "/v1/alerts", body, scope="alert")
    assert (status, found["status"]) == (400, 400)
    assert retrain_requests(store) == []


@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("POST", "/v1/alerts", None, 401),
        ("POST", "/v1/alerts", "read", 403),
        ("POST", "/v1/alerts", "write", 403),
        ("POST", "/v1/retrain", "alert", 403),
        ("POST", "/v1/retrain", "write", 403),
        ("GET", "/v1/retrain", "read", 403),
        ("POST", "/v1/observations", "alert", 403),
        ("GET", "/v1/series", "alert", 403),
        ("GET", "/v1/retrain", "admin", 200),
        ("POST", "/v1/alerts", "admin", 200),
    ],
)
def test_a_token_of_another_scope_is_kept_out(store, send, method, path, scope, status):
    assert send(method, path, None if method == "GET" else post(), scope=scope)[0] == status
    assert retrain_requests(store) == []


def test_an_operator_asks_by_hand_and_sees_what_became_of_it(store, send):
    status, found = send("POST", "/v1/retrain", {"reason": "new tariffs"})
    (made,) = retrain_requests(store)
    assert (status, found) == (200, {"outcome": "made", "request": made.id, "why": ""})
    assert RetrainDocument.model_validate(found)
    assert (made.reason, made.source) == ("new tariffs (a-admin)", "hand")
    assert send("POST", "/v1/retrain", b"")[1]["outcome"] == "duplicate"
    listed = send("GET", "/v1/retrain")[1]
    assert RetrainRequestsDocument.model_validate(listed)
    assert [(one["id"], one["state"]) for one in listed["requests"]] == [(made.id, "waiting")]
    assert listed["requests"][0]["created_at"].endswith("Z")


@pytest.mark.parametrize(
    "body", [{"reason": ""}, {"reason": 3}, {"reason": "a\nb"}, {"reason": "a" * 501}, {"why": "x"}]
)
def test_a_reason_is_one_line(store, send, body):
    assert send("POST", "/v1/retrain", body)[0] == 400
    assert retrain_requests(store) == []


def test_what_was_asked_is_counted_by_source_and_outcome(store, send, place, tokens):
    send("POST", "/v1/alerts", post(alert()), scope="alert")
    send("POST", "/v1/alerts", post(alert()), scope="alert")
    send("POST", "/v1/alerts", b"no post of Alertmanager", scope="alert")
    send("POST", "/v1/retrain", {"reason": ""})
    connection = http.client.HTTPConnection(place[0], timeout=20)
    connection.request("GET", "/metrics", headers={"authorization": f"Bearer {tokens[1]['read']}"})
    page = connection.getresponse().read().decode()
    connection.close()
    assert 'forecast_retrain_asked_total{model="tiny",outcome="made",source="alert"}' in page
    assert 'forecast_retrain_asked_total{model="tiny",outcome="duplicate",source="alert"}' in page
    assert 'forecast_retrain_asked_total{model="tiny",outcome="refused",source="alert"}' in page
    assert 'forecast_retrain_asked_total{model="tiny",outcome="refused",source="hand"}' in page


def test_a_store_that_cannot_be_used_is_a_503_that_alertmanager_sends_again(place, store, send):
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE retrain_requests RENAME TO aside")
    try:
        assert send("POST", "/v1/alerts", post(alert()), scope="alert")[0] == 503
    finally:
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE aside RENAME TO retrain_requests")


def test_more_posts_of_alerts_a_second_than_may_be_get_a_429_and_write_nothing(store):
    settings = RetrainingConfig(alert_rate=2)
    asker = RetrainAsker(store, "tiny", settings, count=lambda *_: None, rate=RateLimit(2, clock=lambda: 0.0))
    body = json.dumps(post()).encode()
    for _ in range(2):
        assert asyncio.run(asker.alerts(body)) == {"alerts": []}
    with pytest.raises(AnswerError, match="too many posts of alerts") as caught:
        asyncio.run(asker.alerts(json.dumps(post(alert())).encode()))
    assert (caught.value.code, caught.value.retry_after_s) == (429, 1)
    assert retrain_requests(store) == []


def test_alerts_may_be_turned_off(store):
    asker = RetrainAsker(store, "tiny", RetrainingConfig(alerts=False), count=lambda *_: None)
    found = asyncio.run(asker.alerts(json.dumps(post(alert())).encode()))
    assert found["alerts"][0]["why"] == "retraining.alerts is false"
    assert retrain_requests(store) == []


def test_a_gateway_without_a_store_takes_none(home, tokens, tmp_path):
    shutil.copytree(home / "models", tmp_path / "models")
    with gateway(tmp_path, tokens) as (_, addresses):
        connection = http.client.HTTPConnection(addresses["http"], timeout=20)
        headers = {"authorization": f"Bearer {tokens[1]['admin']}"}
        connection.request("POST", "/v1/alerts", json.dumps(post(alert())), headers)
        response = connection.getresponse()
        assert (response.status, "--store" in json.loads(response.read())["error"]) == (404, True)


def test_a_flag_that_is_no_such_section_is_refused(home, tokens):
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
    command += ['--retraining={"cooldown": "soon"}']
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2
    assert "--retraining: cooldown:" in found.stderr


def test_requests_are_listed_while_all_threads_of_the_event_loop_are_busy(tmp_path):
    free = threading.Event()

    async def ask(store, threads):
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        waiting = loop.run_in_executor(None, free.wait, 60)
        asker = RetrainAsker(store, "tiny", RetrainingConfig(), count=lambda *_: None, threads=threads)
        try:
            asked = await asyncio.wait_for(asker.by_hand(b'{"reason": "new prices"}', "-"), 20)
            return asked["outcome"], await asyncio.wait_for(asker.requests(), 20)
        finally:
            free.set()
            await waiting

    with open_store(store_address(None, tmp_path / "serving.db")) as store, ThreadPoolExecutor(1) as threads:
        outcome, listed = asyncio.run(ask(store, threads))
    assert (outcome, [one["reason"] for one in listed["requests"]]) == ("made", ["new prices"])


def test_requests_are_made_at_the_time_of_the_clock(store):
    asker = RetrainAsker(store, "tiny", RetrainingConfig(), count=lambda *_: None, clock=lambda: 1_400_000_000.5)
    body = json.dumps({"version": "4", "alerts": [alert("2014")]}).encode()
    asyncio.run(asker.alerts(body))
    assert [one.created_at for one in retrain_requests(store)] == [1_400_000_000]
