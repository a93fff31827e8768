"""The one form of a benchmark's result: figures of ours, the same figures of peers in the same run, the machine."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bench(path: Path, *, figures: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `build/bench/NAME.json`.

    Args:
        path: Where.
        figures: What was measured, by name with its unit.
        peers: The same of others, by name of the peer.
    """
    document = {
        "figures": dict(figures),
        "peers": {name: dict(found) for name, found in peers.items()},
        "machine": machine(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory[0]) // 1024 if memory else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    place = Path(path)
    return place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
