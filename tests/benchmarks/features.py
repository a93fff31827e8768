"""Feature throughput: 23 columns of hourly series, the functions alone and the whole Beam job, beside peers.

Lags 1, 24 and 168; rolling mean, standard deviation, minimum and maximum over 24 and 168 steps that end one
step ago; hour, day of week, month, holiday; two Fourier pairs for the day and for the week. Every figure comes
from a process of its own on one thread. Run by `make bench-features`; writes build/bench/features.json.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from components.features.build_features import build_features, make_feature_spec
from components.features.planes import plane_pieces
from forecasting.config.derived import LagConfig, RollingConfig
from forecasting.config.features import FeaturesConfig, FourierConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.features.spec import ScalerSpec
from forecasting.features.transform import feature_blocks
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT, peer_python
from tests.benchmarks.peers.feature_columns import panel
from tests.unit.forecasting.series_stores import write_series_store

HOUR_S = 3_600
START = 1_577_836_800
PEERS = {"numpy": (), "pandas": (), "polars": ("polars",), "mlforecast": ("mlforecast",)}
SETTINGS = BuildFeaturesSettings(
    name="bench",
    forecast=ForecastConfig(horizon=24, context=168, segment=24),
    features=FeaturesConfig(
        calendar=("hour_of_day", "day_of_week", "month_of_year", "is_holiday"),
        holidays="AU-VIC",
        fourier=(FourierConfig(period="24h", order=2), FourierConfig(period="7d", order=2)),
        derived=(LagConfig(kind="lag", steps=(1, 24, 168)), RollingConfig(kind="rolling", windows=(24, 168), lag=1)),
    ),
)


def series_spec(n_steps: int) -> SeriesSpec:
    """One target, seven tenths of it to train on."""
    ends = [START + int(share * n_steps) * HOUR_S for share in (0.7, 0.9, 1.0)]
    return SeriesSpec("y", (), (), (), {}, HOUR_S, SplitSpec(*ends))


def write_panel(directory: Path, n_series: int, n_steps: int) -> None:
    """A series store; float64 as every store."""
    series = (
        Series(f"s{i:06d}", START, row[:, None].astype(np.float64)) for i, row in enumerate(panel(n_series, n_steps))
    )
    write_series_store(SeriesStore(series_spec(n_steps), tuple(series)), directory)


def measure_functions(n_series: int, n_steps: int) -> dict[str, float]:
    """The feature functions over arrays in memory, as a Beam worker calls them."""
    target = panel(n_series, n_steps)[:, :, None]
    store = SeriesStore(series_spec(n_steps), (Series("s", START, target[0].astype(np.float64)),))
    spec = make_feature_spec(SETTINGS, store.spec, store.index, ScalerSpec({"y": 100.0}, {"y": 7.7}))
    blocks = feature_blocks(spec)
    n_columns = len(blocks.past) + len(blocks.known)
    planes = np.empty((n_steps, n_columns), dtype=np.float32)
    began = time.process_time()
    for values in target:
        row = 0
        for piece in plane_pieces(values, "s", START, spec, n_before=0):
            planes[row : row + len(piece)] = piece
            row += len(piece)
    return {**figures(n_series * n_steps, time.process_time() - began), "n_columns": n_columns}


def measure_job(n_series: int, n_steps: int) -> dict[str, float]:
    """build_features from a series store to a feature store, on one worker in this process."""
    folder = Path(tempfile.mkdtemp(prefix="almanac-bench-"))
    try:
        source, output = folder / "series", folder / "features"
        source.mkdir()
        output.mkdir()
        subprocess.run(
            [sys.executable, "-m", __spec__.name, "panel", str(n_series), str(n_steps), "--out", str(source)],
            check=True,
        )
        home = home_layout(folder)
        import components.features.beam_job  # noqa: F401 - its import is no part of the job

        began = time.process_time()
        build_features(SETTINGS, {StepName.VALIDATE_DATA: source}, output, StepContext(home, home.run("bench")))
        return figures(n_series * n_steps, time.process_time() - began)
    finally:
        shutil.rmtree(folder)


def figures(n_rows: int, cpu_s: float) -> dict[str, float]:
    """What every engine reports."""
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return {"rows_per_cpu_s": n_rows / cpu_s, "cpu_s": cpu_s, "peak_rss_mib": rss_mib}


def in_process(*command: str) -> dict[str, Any]:
    """Run a measurement in a process of its own and read its last line."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{' '.join(command[-3:]):40} {found['rows_per_cpu_s'] / 1e6:7.2f} million rows a CPU second, "
          f"{found['peak_rss_mib']:,.0f} MiB", flush=True)  # fmt: skip
    return found


def measure_all(out: Path, n_series: int, n_steps: int) -> None:
    """All engines one after another."""
    size = (str(n_series), str(n_steps))
    ours = [sys.executable, "-m", __spec__.name]
    functions = in_process(*ours, "functions", *size)
    job = in_process(*ours, "job", *size)
    quarter = in_process(*ours, "job", str(n_series // 4), str(n_steps))
    peers = {}
    script = str(Path(__file__).with_name("peers") / "feature_columns.py")
    for name, packages in PEERS.items():
        python = str(peer_python("features", "polars", "mlforecast", "numpy", "pandas")) if packages else sys.executable
        peers[name] = in_process(python, script, name, *size)
    write_bench(
        out,
        figures={
            "feature_rows_per_cpu_s": functions["rows_per_cpu_s"],
            "job_rows_per_cpu_s": job["rows_per_cpu_s"],
            "peak_rss_mib": job["peak_rss_mib"],
            "functions": functions,
            "job": job,
            "job_on_a_quarter_of_the_series": quarter,
        },
        peers=peers,
    )
    print(out)


def main() -> None:
    """Measure all, or one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "functions", "job", "panel"), default="all")
    parser.add_argument("n_series", nargs="?", type=int, default=1_000)
    parser.add_argument("n_steps", nargs="?", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    size = (arguments.n_series, arguments.n_steps)
    match arguments.part:
        case "all":
            measure_all(arguments.out, *size)
        case "panel":
            write_panel(arguments.out, *size)
        case "functions":
            print(json.dumps(measure_functions(*size)))
        case "job":
            print(json.dumps(measure_job(*size)))


if __name__ == "__main__":
    main()
