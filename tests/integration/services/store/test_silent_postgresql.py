"""A PostgreSQL that is there and says nothing: a process that was stopped, a listener that never answers."""

import http.client
import json
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from forecasting.errors import RetryableError
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastQuery, read_forecasts
from forecasting.store.observations import observation_revision
from forecasting.store.opening import open_store
from forecasting.wire.server_process import listening_process
from tests.integration.services.prometheus import wait_until
from tests.unit.serving.conftest import LINE, write_home

pytestmark = pytest.mark.services


@contextmanager
def _stopped(pids):
    """Processes that are there and do nothing while the block runs."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            # One whose client has gone ends as soon as it goes on.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _server_pids(store):
    """Of the server and of all that work for this database."""
    with store.reading() as connection:
        server = connection.execute(text("SELECT pg_read_file('postmaster.pid')")).scalar_one().split()[0]
        workers = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        return [int(server), *connection.execute(text(workers)).scalars()]


def test_a_listener_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as thread:
        url = f"postgresql://almanac:x@127.0.0.1:{silent.getsockname()[1]}/almanac?connect_timeout=2"
        opening = thread.submit(open_store, store_address(url, Path()))
        with pytest.raises(RetryableError, match=r"cannot be used now: .*timeout"):
            opening.result(30)


def _ask_a_stopped_server(store):
    with store.writing(statement_s=1) as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with _stopped([pid]):
            connection.execute(text("SELECT 2"))


def test_a_statement_of_a_server_that_has_stopped_is_given_up(store):
    with pytest.raises(RetryableError, match="the server did not answer within 3 s"):
        _ask_a_stopped_server(store)
    assert observation_revision(store, "tiny") == 0


def test_a_statement_that_takes_too_long_is_ended_by_the_server(store):
    with pytest.raises(RetryableError, match="statement timeout"), store.writing(statement_s=0.2) as connection:
        connection.execute(text("SELECT pg_sleep(30)"))
    with store.reading() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "30s"


def test_who_closes_the_store_does_not_wait_for_a_server_that_has_stopped(store):
    pids, asked = _server_pids(store), threading.Event()

    def wait_for_an_hour() -> None:
        with store.writing(statement_s=3_600) as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with _stopped([*pids, pid]):
                asked.set()
                connection.execute(text("SELECT 1"))

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(wait_for_an_hour)
        assert asked.wait(30)
        store.close()
        with pytest.raises(RetryableError):
            waiting.result(30)


def _ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body).encode())
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def test_forecasts_go_on_while_the_database_says_nothing_and_readyz_says_so(store, models, tmp_path):
    home = write_home(models, tmp_path)
    url = store.address.url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
    # No model server: what is to be seen here is that nobody waits for the database.
    command += ["--grpc=127.0.0.1:1", "--port=0", f"--store={url}"]
    with listening_process(command, LINE, log=tmp_path / "gateway.log") as (process, addresses):
        address = addresses["http"]
        with _stopped(_server_pids(store)):
            found = [_ask(address, "POST", "/v1/forecast", {"series": ["a"]})[0] for _ in range(3)]
            status, text = _ask(address, "GET", "/readyz")
        assert found == [200] * 3
        assert status == 200
        assert "; observations are not read" in text
        wait_until(
            lambda: "observations" not in _ask(address, "GET", "/readyz")[1], (tmp_path / "gateway.log").read_text
        )
        process.terminate()
        assert process.wait(30) == 0
    kept = read_forecasts(store, ForecastQuery(model="tiny"))
    assert len(kept) == 3
