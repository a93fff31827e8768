"""A store that is down, slow or answers 500: bounded in time and attempts, and what is here stays."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forecasting.errors import ConfigError, RemoteError
from forecasting.repository import ModelRepository
from serving.model_sync.object_store import N_ATTEMPTS, ObjectStore, open_object_store
from serving.model_sync.pull import pull_model

pytestmark = pytest.mark.timeout(60)
"""What has no bound fails by it."""


@dataclass
class BadStore:
    """A server of S3 that answers with a status, or not at all where that is none."""

    status: int | None
    requests: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    address: str = ""
    host: str = ""


@pytest.fixture(params=[500, 503, None])
def bad(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadStore]:
    """A store that is down in one of three ways."""
    found = BadStore(request.param)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.requests.append(f"{self.command} {self.path}")
            if found.status is None:
                found.ended.wait()
                return
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815  # names that the handler calls

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    found.host = f"127.0.0.1:{server.server_port}"
    found.address = f"s3://bucket/models?scheme=http&region=eu-west-1&endpoint_override={found.host}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def store(bad: BadStore) -> ObjectStore:
    """It, with a patience of a second."""
    return open_object_store(bad.address, silent_s=1.0)


def test_reading_ends_after_some_attempts(bad, store):
    with pytest.raises(RemoteError, match="the object store must answer for m/roles"):
        store.read("m/roles")
    assert len(bad.requests) == N_ATTEMPTS


def test_writing_ends_after_some_attempts(bad, store):
    with pytest.raises(RemoteError, match="it is asked again in the next round"):
        store.write("m/roles", b"{}")
    assert len(bad.requests) == N_ATTEMPTS


@pytest.mark.parametrize("bad", [500, 503], indirect=True)
def test_the_store_of_google_is_asked_for_as_long_as_three_attempts_would_take(bad):
    store = open_object_store(f"gs://anonymous@bucket/models?scheme=http&endpoint_override={bad.host}", silent_s=1.0)
    with pytest.raises(RemoteError, match="Retry policy exhausted"):
        store.read("m/roles")


def test_a_round_that_fails_leaves_what_is_here(store, tmp_path: Path):
    repository = ModelRepository(tmp_path)
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"graph")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(RemoteError):
        pull_model(store, repository, "m")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_the_address_of_a_store_keeps_its_place(bad, store):
    with pytest.raises(RemoteError):
        store.read("m/roles")
    assert bad.requests[0] == "HEAD /bucket/models/m/roles"


def test_what_an_address_of_s3_says_and_cannot_be_passed_on_is_named(bad):
    with pytest.raises(ConfigError, match="found 'tls_verify_certificates'"):
        open_object_store(f"{bad.address}&tls_verify_certificates=false")
