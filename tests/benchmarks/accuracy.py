"""Accuracy on public tables: the product, each task from one configuration file, beside naive forecasts and peers.

    python -m tests.benchmarks.accuracy [TASK …] [--out FILE] [--without-peers]

The tables are those of ../shared/data; a task whose table is absent is refused. Every task trains with the product's own
command, exports, and asks the exported model at every origin of its test period (`vic_24h_validation`: of its validation
period, by a model that has learnt from the train cut alone). Tasks run one after another, each in a process of its own, on
one thread. Run by `make bench-accuracy`; writes build/bench/accuracy.json. Naming tasks keeps the figures of the others.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.accuracy_tasks.peers import measure_peers
from tests.benchmarks.accuracy_tasks.tasks import TASKS
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT


def measure(name: str, folder: Path, *, with_peers: bool) -> dict[str, dict[str, Any]]:
    """Figures of a task by name of the method; the product is `ours`."""
    began = time.monotonic()
    words = [sys.executable, "-m", "tests.benchmarks.accuracy_tasks.product", name, str(folder)]
    subprocess.run(words, check=True, cwd=ROOT, stdout=sys.stderr)
    found: dict[str, dict[str, Any]] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    if with_peers:
        found |= measure_peers(TASKS[name], folder)
    for method, of_method in found.items():
        shown = "  ".join(f"{key} {value}" for key, value in of_method.items() if key != "by_seed")
        print(f"{name:20}{method:20}{shown}", flush=True)
    print(f"{name:20}{time.monotonic() - began:.0f} s", flush=True)
    return found


def record(out: Path, name: str, found: dict[str, dict[str, Any]]) -> None:
    """Write the figures of a task beside those that the file has."""
    document = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    figures, peers = document.get("figures", {}), document.get("peers", {})
    figures[name] = found.pop("ours")
    for method, of_method in found.items():
        peers.setdefault(method, {})[name] = of_method
    write_bench(out, figures=figures, peers=peers)
    # The figures stand at the top as well, for those who look them up by name.
    document = json.loads(out.read_text(encoding="utf-8"))
    out.write_text(json.dumps({**document, **figures}, indent=1), encoding="utf-8")


def main() -> None:
    """Measure the named tasks, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "accuracy.json")
    parser.add_argument(
        "--without-peers", action="store_true", help="Measure the product and the naive forecasts only."
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.tasks if name not in TASKS]:
        parser.error(f"a task must be one of {', '.join(TASKS)}; found {unknown[0]}")
    if not arguments.tasks:
        arguments.out.unlink(missing_ok=True)
    for name in arguments.tasks or TASKS:
        found = measure(name, arguments.out.parent / "accuracy" / name, with_peers=not arguments.without_peers)
        record(arguments.out, name, found)
    print(arguments.out)


if __name__ == "__main__":
    main()
