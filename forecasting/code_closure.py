"""Which source files a step can be influenced by: its own room and everything that it imports of ours."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import forecasting
from forecasting.contracts.steps import StepName
from forecasting.manifests import digest_file

PROJECT_ROOT = Path(forecasting.__file__).resolve().parents[1]
"""The folder in which the packages lie: a checkout, or site-packages."""

PACKAGES = ("forecasting", "components", "serving")
ADAPTER_FILE = "component.py"
"""KFP adapters only translate; they change no result."""

ROOMS: dict[StepName, tuple[str, ...]] = {
    StepName.VALIDATE_DATA: ("components/validation",),
    StepName.BUILD_FEATURES: ("components/features",),
    StepName.TUNE_MODEL: (
        "components/tuning",
        "components/validation",
        "components/features",
        "components/training",
        "pipelines/search_process.py",
        "pipelines/tuning.py",
        "pipelines/staged.py",
        "pipelines/trials.py",
        "pipelines/trial_places.py",
        "pipelines/trial_process.py",
        "pipelines/fits.py",
        "pipelines/fit_process.py",
        "pipelines/backtests.py",
    ),
    StepName.TRAIN_MODEL: ("components/training",),
    StepName.EVALUATE_MODEL: ("components/evaluation",),
    StepName.COMPRESS_MODEL: ("components/compression",),
    StepName.EVALUATE_COMPRESSED: ("components/evaluation",),
    StepName.VALIDATE_SERVING: ("components/deployment", "serving"),
    StepName.DEPLOY_MODEL: ("components/deployment", "serving"),
    StepName.REPORT_RUN: ("components/reporting", "forecasting/web"),
}
"""Folders, or files, that belong to a step as a whole: its room, and what it starts as a process of its own."""


def step_function(step: StepName) -> str:
    """Where the function of a step is, as `package.module:function`."""
    return f"{ROOMS[step][0].replace('/', '.')}.{step}:{step}"


def code_digests(step: StepName, project: Path = PROJECT_ROOT) -> dict[str, str]:
    """Digest of every file that can change a step's result, by path relative to the project.

    Imports are followed by reading the sources, also those inside functions. A module that is named
    only in a string is not seen, so the rooms above count whole.
    """
    sources = {path for room in ROOMS[step] for path in _room_files(project / room)}
    found = sources | imported_files({path for path in sources if path.suffix == ".py"}, project)
    return {path.relative_to(project).as_posix(): _digest(path, path.stat().st_mtime_ns) for path in sorted(found)}


def imported_files(sources: Iterable[Path], project: Path) -> set[Path]:
    """Every file of our packages that some sources import, directly or through others."""
    waiting, seen, looked_up = list(sources), set(sources), set[str]()
    while waiting:
        path = waiting.pop()
        for name in _imported_modules(path, path.stat().st_mtime_ns, project):
            if name not in looked_up:
                looked_up.add(name)
                new = set(_module_files(name, project)) - seen
                seen |= new
                waiting += new
    return seen


def _room_files(room: Path) -> Iterator[Path]:
    if room.is_file():
        yield room
    for path in sorted(room.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and path.name != ADAPTER_FILE:
            yield path


# The time of change is part of the key only, so that an edited file is read again.
@lru_cache(maxsize=4096)
def _imported_modules(path: Path, _changed_ns: int, project: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_name(node, path, project)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] in PACKAGES)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement at any depth. Expressions, of which nine in ten nodes are, cannot import."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, ())
            if isinstance(inner, list):
                waiting += inner


def _absolute_name(node: ast.ImportFrom, path: Path, project: Path) -> str:
    if not node.level:
        return node.module or ""
    parts = path.relative_to(project).parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _module_files(name: str, project: Path) -> Iterator[Path]:
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        base = project.joinpath(*parts[:depth])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                yield path


@lru_cache(maxsize=4096)
def _digest(path: Path, _changed_ns: int) -> str:
    return digest_file(path)
