"""Wall time and peak memory of the electricity example: a first run in an empty home, and a second that re-uses it.

Run by `make bench-demo`; writes build/bench/demo.json. Peak memory is the largest sum of the resident
memory of the run's processes, read from /proc every 50 ms, so memory that they share counts for each.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forecasting.contracts.layout import home_layout
from forecasting.runs import list_runs, load_run

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pipelines/configs/electricity.yaml"
SAMPLE_S = 0.05


@dataclass(frozen=True)
class DemoReport:
    """One run: seconds of wall time, CPU seconds of it and its children, bytes, and the wall time of each step."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
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
        peak_rss_bytes=peak,
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
    document: dict[str, Any] = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "first": asdict(first),
        "second": asdict(second),
    }
    out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"first {first.wall_s:.1f} s, {first.peak_rss_bytes / 2**20:,.0f} MiB; second {second.wall_s:.1f} s; {out}")


if __name__ == "__main__":
    main()
