"""Batches in a table of a real PostgreSQL server, by the command: once, whole or not at all, and to nobody's harm."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sql

from forecasting.contracts.codes import ExitCode
from tests.integration.services.postgresql import PASSWORD, USER, postgresql
from tests.unit.batch.homes import CUTOFF, make_batch_home
from tests.unit.serving.conftest import START

pytestmark = pytest.mark.services

TO = "postgresql://almanac:${{ALMANAC_TEST_PASSWORD}}@{address}/{name}"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    # Not pytest's own folder, which the account of the server cannot reach.
    with tempfile.TemporaryDirectory() as folder, postgresql(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def home(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_batch_home(models, tmp_path_factory.mktemp("batch"))


@pytest.fixture
def engine(address: str) -> Iterator[sql.Engine]:
    """An empty database of its own."""
    base = f"postgresql+psycopg://{USER}:{quote(PASSWORD, safe='')}@{address}"
    name = f"t{uuid.uuid4().hex}"
    admin = sql.create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    found = sql.create_engine(f"{base}/{name}")
    yield found
    found.dispose()


def place(engine: sql.Engine) -> str:
    return TO.format(address=f"{engine.url.host}:{engine.url.port}", name=engine.url.database)


def environment() -> dict[str, str]:
    return {**os.environ, "ALMANAC_TEST_PASSWORD": quote(PASSWORD, safe="")}


def command(home: Path, to: str, *words: str) -> list[str]:
    words = ("--home", str(home), "forecast", "-c", str(home / "tiny.yaml"), "--batch", to, *words)
    return [sys.executable, "-m", "pipelines.cli", *words]


def batch(home: Path, to: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, to, "--cutoff", CUTOFF, *words), capture_output=True, text=True, env=environment()
    )


def rows(engine: sql.Engine) -> list[tuple[object, ...]]:
    columns = 'version, series, timestamp, point, "q0.1", degraded, reason'
    with engine.connect() as connection:
        found = connection.execute(sql.text(f"SELECT {columns} FROM almanac_forecasts ORDER BY 1, 2, 3"))
        return [tuple(row) for row in found]


def test_a_database_has_the_rows_of_the_file_once_and_no_message_has_the_password(home, engine, tmp_path):
    first = batch(home, place(engine))
    assert first.returncode == ExitCode.DONE, first.stderr
    second = batch(home, place(engine))
    assert second.returncode == ExitCode.DONE, second.stderr
    assert "already; nothing is written" in second.stderr
    assert quote(PASSWORD, safe="") not in first.stderr + second.stderr
    assert batch(home, str(tmp_path / "out")).returncode == ExitCode.DONE
    written = pq.read_table(tmp_path / "out" / "tiny-20140102T180000Z-v1.parquet").to_pylist()
    names = ("version", "series", "timestamp", "point", "q0.1", "degraded", "reason")
    assert rows(engine) == sorted(tuple(row[name] for name in names) for row in written)
    assert batch(home, place(engine), "--version", "2").returncode == ExitCode.DONE
    assert len(rows(engine)) == 2 * len(written)


def test_a_process_that_is_killed_before_the_end_leaves_no_row_and_the_next_run_makes_it_whole(home, engine):
    url = place(engine).replace("${ALMANAC_TEST_PASSWORD}", quote(PASSWORD, safe=""))
    words = [sys.executable, "-m", "tests.unit.batch.killed_batch", str(home / "models"), url, str(START + 42 * 3600)]
    killed = subprocess.run(words, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert not sql.inspect(engine).has_table("almanac_forecasts")
    assert batch(home, place(engine)).returncode == ExitCode.DONE
    assert len(rows(engine)) == 12


def test_of_two_processes_that_make_the_same_batch_at_once_one_writes_it(home, engine):
    words = command(home, place(engine), "--cutoff", CUTOFF, "--json")
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [ExitCode.DONE, ExitCode.DONE], said
    assert sorted('"is_new": true' in out for out, _ in said) == [False, True]
    assert len(rows(engine)) == 12


def test_an_account_that_may_not_write_gets_one_error_without_the_password(home, engine):
    with engine.begin() as connection:
        connection.execute(sql.text("CREATE ROLE reader LOGIN PASSWORD 'secret-word'"))
    to = place(engine).replace("almanac:${ALMANAC_TEST_PASSWORD}", "reader:secret-word")
    done = batch(home, to)
    assert done.returncode == ExitCode.CONFIG
    assert "must be one that can be written: permission denied" in done.stderr
    assert "secret-word" not in done.stderr


def test_a_server_that_is_away_is_worth_another_attempt(home, engine):
    to = place(engine).replace(str(engine.url.port), "1")
    done = batch(home, to)
    assert done.returncode == ExitCode.RETRY
    assert quote(PASSWORD, safe="") not in done.stderr
