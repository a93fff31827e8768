"""What a process may have: of the machine, or of its container."""

from pathlib import Path

import pytest

from forecasting.memory_limit import memory_limit_bytes

MACHINE = "MemTotal:       16384 kB\nMemFree: 12 kB\n"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/meminfo": MACHINE}, 16_384 * 1_024),
        ({"proc/meminfo": MACHINE, "sys/fs/cgroup/memory.max": "max\n"}, 16_384 * 1_024),
        ({"proc/meminfo": MACHINE, "sys/fs/cgroup/memory.max": "1000000\n"}, 1_000_000),
        ({"proc/meminfo": MACHINE, "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n"}, 2_000_000),
        (
            {"proc/meminfo": MACHINE, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
            16_384 * 1_024,
        ),
        ({}, None),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], limit: int | None):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_limit_bytes(tmp_path) == limit


def test_this_machine_has_memory():
    assert (memory_limit_bytes() or 0) > 2**28
