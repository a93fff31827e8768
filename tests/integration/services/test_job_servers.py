"""The Beam job on a real Flink and a real Spark: each in one Java process with Beam's job server, Python in a pool of workers."""

import logging
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from components.features.beam_job import FeatureJob, run_moments
from forecasting.errors import RemoteError
from tests.integration.beam_job import build, listening, wait_for_port, write_series

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

JARS = Path(__file__).parents[3] / ".job-servers"
N_ROWS = 1_200 * 6 - 70 * (1 + 2 + 3 + 4 + 5)
CHUNK_ROWS = 1_000
OPENED = ("java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio", "java.time", "java.util",
          "java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.security.action",
          "sun.util.calendar")  # fmt: skip
"""Packages that Flink 1.19 and Spark 3.5 reach into; Java 17 opens none of them by itself."""
ENGINES = {
    "flink": ("org.apache.beam.runners.flink.FlinkJobServerDriver", "--flink-master=[local]"),
    "spark": ("org.apache.beam.runners.spark.SparkJobServerDriver", "--spark-master-url=local[2]"),
}
STARTED = {"flink": r"Starting Flink Mini Cluster", "spark": r"Running Spark version 3\.5\.0"}


@pytest.fixture(scope="module")
def series_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("beam") / "series"
    write_series(folder)
    return folder


@pytest.fixture(scope="module", params=ENGINES)
def engine(request) -> str:
    if not (JARS / request.param).is_dir():
        pytest.skip(
            f"needs Beam's job server for {request.param}: infra/beam/install-job-servers fetches it where Maven Central is"
        )
    return request.param


@contextmanager
def job_server(engine: str, folder: Path) -> Iterator[int]:
    """Beam's job server with its engine until the end of the block; yields its port. Its log is `server.log` in the folder."""
    java = shutil.which("java")
    assert java is not None, "java must be on PATH; run infra/install-services"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    main, master = ENGINES[engine]
    words = [java, "-Xmx1g", *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED), "-cp", f"{JARS / engine}/*", main,
             master, "--job-host=localhost", f"--job-port={port}", "--artifact-port=0", "--expansion-port=-1",
             f"--artifacts-dir={folder / 'staged'}"]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def served(engine, tmp_path_factory) -> Iterator[tuple[str, Path, int]]:
    """A job server: its engine, folder and port."""
    folder = tmp_path_factory.mktemp(engine)
    with job_server(engine, folder) as port:
        yield engine, folder, port


def with_workers(port: int, pool: int) -> tuple[str, ...]:
    return (f"--job_endpoint=localhost:{port}", "--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}")


def test_an_engine_with_an_external_worker_pool_writes_the_same_bytes(series_dir, served, tmp_path, caplog):
    engine, folder, port = served
    expected = build(series_dir, tmp_path / "here", "DirectRunner", chunk_rows=CHUNK_ROWS)
    caplog.set_level(logging.INFO, logger="components.features.beam_job")
    caplog.clear()
    with listening("apache_beam.runners.worker.worker_pool_main", "--service_port={port}") as pool:
        found = build(
            series_dir, tmp_path / "there", "PortableRunner", *with_workers(port, pool), chunk_rows=CHUNK_ROWS
        )
    assert found == expected
    counted = [record.getMessage() for record in caplog.records if record.name == "components.features.beam_job"]
    assert counted == [f"Beam PortableRunner: {N_ROWS:,} rows read", f"Beam PortableRunner: {N_ROWS:,} rows written"]
    assert re.search(STARTED[engine], (folder / "server.log").read_text(encoding="utf-8"))


def test_workers_that_do_not_see_the_series_end_the_job_with_what_they_missed(series_dir, served, tmp_path):
    _, _, port = served
    gone = tmp_path / "series"
    shutil.copytree(series_dir, gone)
    job = FeatureJob(gone, "PortableRunner", CHUNK_ROWS, ())
    job.chunks()
    shutil.rmtree(gone)
    with listening("apache_beam.runners.worker.worker_pool_main", "--service_port={port}") as pool:
        job = replace(job, options=with_workers(port, pool))
        with pytest.raises(
            RemoteError,
            match=r"No such file or directory: '\S+/series/schema.json'.*the same files under the same paths",
        ):
            run_moments(job, (), tmp_path)


def test_a_pool_of_workers_that_is_not_there_ends_the_job(series_dir, served, tmp_path):
    _, _, port = served
    job = FeatureJob(series_dir, "PortableRunner", CHUNK_ROWS, with_workers(port, 1))
    with pytest.raises(RemoteError, match=r"must end well.*(Connection refused|UNAVAILABLE)"):
        run_moments(job, (), tmp_path)
