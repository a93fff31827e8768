"""The Beam job on a small table, and services of Beam to run it on."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

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


def write_series(folder: Path) -> None:
    """Six series of hourly steps, about 6,000 rows, with a covariate by vintage."""
    folder.mkdir()
    series = [replace(issued_series(1_200 - 70 * n, seed=n), id=f"s{n}") for n in range(6)]
    write_series_store(
        SeriesStore(
            SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, SPLIT, ("temperature",)), tuple(series)
        ),
        folder,
    )


def build(series_dir: Path, output: Path, runner: str, *options: str, chunk_rows: int = 1 << 19) -> dict[str, bytes]:
    """Run the step; the files it makes, by name."""
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
    """Return once a process listens; fail if it ended or took a minute."""
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
