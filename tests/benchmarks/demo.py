"""Wall time and peak memory of the electricity example: a first run in an empty home, and a second that re-uses it.

Run by `make bench-demo`; writes build/bench/demo.json. Peak memory is the largest sum of the resident
memory of the run's processes, read from /proc every 50 ms, so memory that they share counts for each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from forecasting.contracts.layout import home_layout
from forecasting.runs import list_runs, load_run
from tests.benchmarks.bench_file import write_bench

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pipelines/configs/electricity.yaml"
SAMPLE_S = 0.05


@dataclass(frozen=True)
class DemoReport:
    """One run: seconds of wall time, CPU seconds of it and its children, MiB, and the wall time of each step."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_rss_mib: float
    steps_s: dict[str, float]


def run_demo(home: Path) -> DemoReport:
    """Run the example once."""
    words = [str(Path(sys.executable).with_name("almanac")), "run", "-c", str(CONFIG)]
    cpu, started, peak = _children_cpu_s(), time.monotonic(), 0
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "ALMANAC_HOME": str(home)}, start_new_session=True)
    while True:
        try:
            process.wait(timeout=SAMPLE_S)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, _session_rss_bytes(process.pid))
    record = load_run(list_runs(home_layout(home))[0])
    return DemoReport(
        exit_code=process.returncode,
        wall_s=time.monotonic() - started,
        cpu_s=_children_cpu_s() - cpu,
        peak_rss_mib=peak / 2**20,
        steps_s={step.value: found.duration_s for step, found in record.steps.items()},
    )


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _session_rss_bytes(session: int) -> int:
    """Resident memory of every process of a session."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # Fields after the name, which may hold spaces: state, parent, group, session; the 22nd is pages.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def main() -> None:
    """Write the two reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as home:
        first, second = run_demo(Path(home)), run_demo(Path(home))
    figures = {
        f"{name}_{key}": value
        for name, run in (("first", first), ("second", second))
        for key, value in asdict(run).items()
    }
    write_bench(out, figures=figures, peers={})
    print(f"first {first.wall_s:.1f} s, {first.peak_rss_mib:,.0f} MiB; second {second.wall_s:.1f} s; {out}")


if __name__ == "__main__":
    main()
