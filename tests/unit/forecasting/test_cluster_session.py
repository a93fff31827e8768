"""Requests to a cluster are repeated while that can help and no longer, and errors say what to do."""

from pathlib import Path

import pytest

from forecasting.cluster_api.session import ApiAddressSpec, ApiRequestSpec, ApiSession
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.errors import ConfigError, RemoteError, RetryableError
from tests.unit.pipelines.cluster.fake_api import Asked, FakeApi, Fault, RefusedError

GET, POST = ApiRequestSpec("GET", "/things"), ApiRequestSpec("POST", "/things", body={"a": 1}, repeatable=False)


class Echo(FakeApi):
    def answer(self, asked: Asked) -> dict:
        if asked.path == "/gone":
            raise RefusedError(404, "no such thing")
        return {"asked": asked.method, "query": asked.query}


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now, self.waited = 0.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def session(url: str, clock: Clock, token_file: Path | None = None, **settings: str) -> ApiSession:
    config = ClusterApiConfig(**{"patience": "30s", "request_timeout": "1s", **settings})
    return ApiSession(ApiAddressSpec(url, token_file), config, sleep=clock.sleep, clock=clock)


def test_an_answer_is_taken_as_it_is():
    with Echo() as url:
        found = session(url, Clock()).send(ApiRequestSpec("GET", "/things", query={"limit": "2"}))
    assert (found.status, found.document) == (200, {"asked": "GET", "query": {"limit": "2"}})


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=503), Fault(status=429), Fault(drop=True), Fault(delay_s=2.0, status=500)]
)
def test_what_may_pass_is_asked_again(fault):
    api, clock = Echo(faults=[fault, fault]), Clock()
    with api as url:
        assert session(url, clock).send(GET).document["asked"] == "GET"
    assert len(api.asked) == 3
    assert 0 < clock.waited[0] < clock.waited[1] * 2.01


def test_an_interface_that_stays_busy_is_given_up_within_the_budget():
    api, clock = Echo(faults=[Fault(status=503)] * 100), Clock()
    with api as url, pytest.raises(RetryableError, match=r"GET /things .* answered 503: not now; asked for 30 s"):
        session(url, clock).send(GET)
    assert 5 < len(api.asked) < 25
    assert clock.now <= 30


def test_the_interface_says_how_long_to_wait():
    clock = Clock()
    with Echo(faults=[Fault(status=429, headers={"Retry-After": "7"})]) as url:
        session(url, clock).send(GET)
    assert clock.waited == [7.0]


def test_one_that_asks_to_wait_longer_than_the_budget_is_not_waited_for():
    clock = Clock()
    with Echo(faults=[Fault(status=429, headers={"Retry-After": "3600"})]) as url, pytest.raises(RetryableError):
        session(url, clock).send(GET)
    assert clock.waited == []


@pytest.mark.parametrize("fault", [Fault(status=500, done=True), Fault(drop=True, done=True), Fault(delay_s=1.5)])
def test_what_must_not_be_done_twice_is_not_sent_twice(fault):
    api = Echo(faults=[fault])
    with api as url, pytest.raises(RetryableError, match="whether it was done is not known"):
        session(url, Clock()).send(POST)
    assert len(api.asked) == 1


def test_a_busy_interface_has_not_done_it_so_that_it_is_sent_again():
    api = Echo(faults=[Fault(status=429)])
    with api as url:
        assert session(url, Clock()).send(POST).document["asked"] == "POST"
    assert len(api.asked) == 2


def test_an_interface_that_is_not_there_is_named():
    clock = Clock()
    with pytest.raises(RetryableError, match=r"http://127.0.0.1:9 must be reachable \(cluster.api.url, --host\)"):
        session("http://127.0.0.1:9", clock).send(GET)
    assert len(clock.waited) > 3


def test_a_wrong_token_is_no_passing_condition(tmp_path):
    (tmp_path / "token").write_text("wrong\n")
    api = Echo(token="right")
    with api as url, pytest.raises(RemoteError, match=r"answered 401: no such token; cluster.api.token_file .*/token"):
        session(url, Clock(), tmp_path / "token").send(GET)
    assert len(api.asked) == 1


def test_a_token_that_was_renewed_is_read_again(tmp_path):
    token, api = tmp_path / "token", Echo(token="first")
    with api as url:
        asking = session(url, Clock(), token)
        token.write_text("first")
        asking.send(GET)
        token.write_text("second")
        api.token = "second"
        asking.send(GET)


def test_a_token_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cluster.api.token_file .*/none must be a file"):
        session("http://127.0.0.1:9", Clock(), tmp_path / "none").send(GET)


def test_what_is_not_there_is_an_error_unless_it_is_an_answer():
    with Echo() as url:
        with pytest.raises(RemoteError, match=r"GET /gone .* is not there: no such thing"):
            session(url, Clock()).send(ApiRequestSpec("GET", "/gone"))
        assert session(url, Clock()).send(ApiRequestSpec("GET", "/gone", accept=(404,))).status == 404


def test_certificates_that_are_not_there_are_named(tmp_path):
    address = ApiAddressSpec("https://127.0.0.1:9", None, tmp_path / "ca.crt")
    with pytest.raises(ConfigError, match=r"cluster.api.ca_file .*ca.crt must hold certificates"):
        ApiSession(address, ClusterApiConfig())
