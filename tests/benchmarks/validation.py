"""validate_data on tables of 10 and 20 million rows, beside the same checks by hand with pandas and polars.

A Parquet table of 1,000 hourly series, a target and a known covariate, hour after hour as a meter store exports it. The
step reads, sorts, checks by every rule, profiles, writes the series store, the Data Docs and the page; a peer reads the
table as a whole, sorts it, looks for duplicates, gaps, missing values and values out of range, and writes it. Every figure comes from
a process of its own. Run by `make bench-validation`; writes build/bench/validation.json.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.config import parse_config, step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT, peer_python

N_SERIES = 1_000
START = 1_577_836_800
HOUR_S = 3_600
SIZES = (10_000, 20_000)
"""Steps a series."""
PEERS = ("pandas", "polars")


def write_table(path: Path, n_steps: int) -> None:
    """A table in the order of time, written in pieces."""
    rng = np.random.default_rng(1)
    levels = rng.uniform(60, 300, size=N_SERIES)
    names = pa.array([f"s{i:04d}" for i in range(N_SERIES)])
    stamp = pa.timestamp("s", tz="UTC")
    schema = pa.schema([("site", pa.string()), ("time", stamp), ("load", pa.float64()), ("sun", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for hours in np.array_split(np.arange(n_steps), n_steps // 500):
            course = 20 * np.sin(2 * np.pi * hours / 24)[:, None] + levels
            load = (course + rng.normal(0, 3, size=course.shape)).round(2).reshape(-1)
            sun = np.maximum(0, np.sin(2 * np.pi * hours / 24))[:, None] + rng.uniform(0, 0.3, size=course.shape)
            columns = [
                pa.concat_arrays([names] * len(hours)),
                pa.array(np.repeat(START + HOUR_S * hours, N_SERIES)).cast(stamp),
                pa.array(np.where(rng.random(len(load)) < 0.001, np.nan, load), from_pandas=True),
                pa.array(sun.round(3).reshape(-1)),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def measure_step(table: Path) -> dict[str, Any]:
    """The step on a table, in this process."""
    from components.validation.validate_data import validate_data

    document = {
        "name": "bench",
        "data": {
            "uri": str(table), "time_column": "time", "target": "load", "id_columns": ["site"], "known": ["sun"],
            "frequency": "1h",
        },
        "forecast": {"horizon": 24, "context": 168, "segment": 24, "seasons": [24, 168]},
        "compression": {"max_accuracy_loss": 0.02},
        "gates": {
            "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
            "compressed": {"max_mae": 1, "max_rmse": 1},
            "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
        },
        "validation": {"ranges": {"load": [0, 1000]}},
    }  # fmt: skip
    settings = step_settings(parse_config(document, source="bench"), StepName.VALIDATE_DATA)
    folder = Path(tempfile.mkdtemp(prefix="out-", dir=table.parent))
    home = home_layout(folder / "home")
    output = folder / "output"
    output.mkdir()
    began, began_cpu = time.monotonic(), time.process_time()
    outcome = validate_data(settings, {}, output, StepContext(home, home.run("bench")))
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {
        "n_rows": report["n_rows"], "wall_s": time.monotonic() - began, "cpu_s": time.process_time() - began_cpu,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, "passed": outcome.passed,
    }  # fmt: skip


def in_process(*command: str) -> dict[str, Any]:
    """Run a measurement in a process of its own and read its last line."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{command[-2]:8} {found['n_rows']:12,} rows {found['wall_s']:7.1f} s wall {found['cpu_s']:7.1f} s CPU "
          f"{found['peak_rss_mib']:8,.0f} MiB", flush=True)  # fmt: skip
    return found


def measure_all(out: Path, sizes: tuple[int, ...]) -> None:
    """The step and the peers on every size."""
    folder = Path(tempfile.mkdtemp(prefix="almanac-bench-"))
    steps, peers = [], {name: [] for name in PEERS}
    script = str(Path(__file__).with_name("peers") / "table_checks.py")
    try:
        for n_steps in sizes:
            table = folder / f"{n_steps}.parquet"
            write_table(table, n_steps)
            steps.append(in_process(sys.executable, "-m", __spec__.name, "step", str(table)))
            for name, found in peers.items():
                python = str(peer_python("validation", "polars", "pandas", "pyarrow"))
                found.append(in_process(python, script, name, str(table)))
            table.unlink()
    finally:
        shutil.rmtree(folder)
    first, *larger = steps
    figures = {"rows": first["n_rows"], **{key: first[key] for key in ("wall_s", "cpu_s", "peak_rss_mib")}}
    write_bench(
        out,
        figures={**figures, "larger": larger},
        peers={name: {**found[0], "larger": found[1:]} for name, found in peers.items()},
    )
    print(out)


def main() -> None:
    """Measure all, or one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "step"), default="all")
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=SIZES, help="steps of each of the 1,000 series")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.part == "step":
        print(json.dumps(measure_step(arguments.table)))
    else:
        measure_all(arguments.out, tuple(arguments.steps))


if __name__ == "__main__":
    main()
