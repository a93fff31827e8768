"""Every way to run the Beam job gives the same bytes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from components.features.build_features import build_features
from forecasting.config.derived import RollingConfig, SeasonalConfig
from forecasting.config.features import FeaturesConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.schema import SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext
from tests.unit.features.feature_specs import HOUR_S, START
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.forecasting.vintage_tables import issued_series

SPLIT = SplitSpec(START + 900 * HOUR_S, START + 1_000 * HOUR_S, START + 1_200 * HOUR_S)
FILES = ("planes.npy", "horizon_planes.npy", "index.parquet", "feature_spec.json", "profile.json")


@pytest.fixture(scope="module")
def series_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("beam") / "series"
    folder.mkdir()
    series = [replace(issued_series(1_200 - 70 * n, seed=n), id=f"s{n}") for n in range(6)]
    write_series_store(
        SeriesStore(
            SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, SPLIT, ("temperature",)), tuple(series)
        ),
        folder,
    )
    return folder


def build(series_dir: Path, output: Path, runner: str, *options: str, chunk_rows: int = 1 << 19) -> dict[str, bytes]:
    output.mkdir()
    features = FeaturesConfig(
        beam_runner=runner,
        beam_options=options,
        beam_chunk_rows=chunk_rows,
        derived=(
            RollingConfig(windows=(24, 168)),
            SeasonalConfig(kind="seasonal"),
            RollingConfig(column="temperature", windows=(72,)),
        ),
    )
    settings = BuildFeaturesSettings(name="beam", forecast=ForecastConfig(context=48, seasons=(24,)), features=features)
    home = home_layout(output)
    build_features(settings, {StepName.VALIDATE_DATA: series_dir}, output, StepContext(home, home.run("r")))
    return {name: (output / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def in_process(series_dir, tmp_path_factory) -> dict[str, bytes]:
    return build(series_dir, tmp_path_factory.mktemp("direct") / "out", "DirectRunner")


@contextmanager
def listening(module: str, *flags: str) -> Iterator[int]:
    """A module of Beam that serves on a free port until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", module, *(flag.format(port=port) for flag in flags)],
        # The worker pool starts its workers as `python`.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"{process.args} does not listen on {port}")


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


@pytest.mark.parametrize("rows", [100, 1_000, 1_201])
def test_the_size_of_chunks_leaves_no_trace(series_dir, in_process, tmp_path, rows):
    found = build(series_dir, tmp_path / "out", "DirectRunner", chunk_rows=rows)
    assert found["planes.npy"] == in_process["planes.npy"]
    assert found["horizon_planes.npy"] == in_process["horizon_planes.npy"]
