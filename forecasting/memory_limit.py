"""How much memory this process may have before the kernel ends it."""

from pathlib import Path

_GROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of a container, by the second and the first version of control groups."""


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The memory of the machine, or what its container is allowed of it; none where the system does not say.

    Args:
        root: Where `proc` and `sys` are.
    """
    found = [_group_limit(root / name) for name in _GROUP_LIMITS]
    return min((limit for limit in (*found, _of_machine(root / "proc" / "meminfo")) if limit is not None), default=None)


def _group_limit(path: Path) -> int | None:
    text = path.read_text(encoding="ascii").strip() if path.is_file() else ""
    # "max" is no limit.
    return int(text) if text.isdigit() else None


def _of_machine(path: Path) -> int | None:
    rows = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return next((int(row.split()[1]) * 1_024 for row in rows if row.startswith("MemTotal")), None)
