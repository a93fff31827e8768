"""Every way to run the Beam job gives the same bytes."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from components.features.beam_job import FeatureJob, run_moments
from forecasting.errors import RetryableError
from tests.integration.beam_job import build, listening, write_series


@pytest.fixture(scope="module")
def series_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("beam") / "series"
    write_series(folder)
    return folder


@pytest.fixture(scope="module")
def in_process(series_dir, tmp_path_factory) -> dict[str, bytes]:
    return build(series_dir, tmp_path_factory.mktemp("direct") / "out", "DirectRunner")


def test_workers_in_processes_of_their_own_write_the_same_bytes(series_dir, in_process, tmp_path):
    options = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert build(series_dir, tmp_path / "out", "DirectRunner", *options) == in_process


def test_a_job_server_with_an_external_worker_pool_writes_the_same_bytes(series_dir, in_process, tmp_path):
    with ExitStack() as stack:
        jobs = stack.enter_context(listening("apache_beam.runners.portability.local_job_service_main", "--port={port}"))
        pool = stack.enter_context(listening("apache_beam.runners.worker.worker_pool_main", "--service_port={port}"))
        options = (
            f"--job_endpoint=localhost:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
        )
        assert build(series_dir, tmp_path / "out", "PortableRunner", *options) == in_process


def test_a_job_server_that_does_not_answer_is_named_and_may_be_asked_again(series_dir, tmp_path):
    options = ("--job_endpoint=localhost:1", "--environment_type=LOOPBACK", "--job_server_timeout=1")
    with pytest.raises(RetryableError, match=r"must answer at localhost:1 \(--job_endpoint"):
        run_moments(FeatureJob(series_dir, "PortableRunner", 1_000, options), (), tmp_path)


@pytest.mark.parametrize("rows", [100, 1_000, 1_201])
def test_the_size_of_chunks_leaves_no_trace(series_dir, in_process, tmp_path, rows):
    found = build(series_dir, tmp_path / "out", "DirectRunner", chunk_rows=rows)
    assert found["planes.npy"] == in_process["planes.npy"]
    assert found["horizon_planes.npy"] == in_process["horizon_planes.npy"]
