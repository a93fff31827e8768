"""Takes one guard after another out of a copy of the tree and demands that its tests fail.

    python -m tests.faults.remove_guards [NAME ...]

First all tests of the guards must pass as the tree is. A guard whose text is not found, whose tests pass without it,
or whose tests do not run, is an error.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.records import ROOT, GuardPatch, read_guards

_SHARED = "shared"
"""Beside a checkout: tables that some tests read."""


@dataclass(frozen=True)
class TestsRecord:
    """One run of pytest: node ids, without parameters, of what passed and of what failed; and what it printed."""

    passed: frozenset[str]
    failed: frozenset[str]
    output: str


def main(words: Sequence[str]) -> int:
    """Remove the guards that are named, or all; returns 1 where one is not held by its tests."""
    parser = argparse.ArgumentParser(prog="remove_guards", allow_abbrev=False)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(words)
    guards = [guard for guard in read_guards() if not given.names or guard.name in given.names]
    if unknown := set(given.names) - {guard.name for guard in guards}:
        parser.error(f"no guard is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="almanac-guards-") as folder:
        trees = [copy_tree(Path(folder) / str(number)) for number in range(given.workers)]
        faults = _not_passing(trees[0], guards) or _not_held(trees, guards)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(guards)} guards, {len(faults)} faults")
    return 1 if faults else 0


def copy_tree(folder: Path) -> Path:
    """Copy what git knows or would add into a folder; returns the copy, which has the same neighbours."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    tree = folder / "tree"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    if (ROOT.parent / _SHARED).is_dir():
        (folder / _SHARED).symlink_to((ROOT.parent / _SHARED).resolve())
    return tree


def _not_passing(tree: Path, guards: Iterable[GuardPatch]) -> list[str]:
    wanted = sorted({test for guard in guards for test in guard.tests})
    print(f"{len(wanted)} tests with all guards in place", flush=True)
    found = run_tests(tree, wanted)
    missing = [test for test in wanted if _function(test) not in found.passed - found.failed]
    return [f"{test} must pass with all guards in place:\n{found.output[-3_000:]}" for test in missing]


def _not_held(trees: Sequence[Path], guards: Sequence[GuardPatch]) -> list[str]:
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def judge(guard: GuardPatch) -> str | None:
        tree = free.get()
        try:
            return without(tree, guard)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        return [fault for fault in pool.map(judge, guards) if fault is not None]


def without(tree: Path, guard: GuardPatch) -> str | None:
    """What is wrong with a guard, if anything: removes it from a copy, runs its tests and puts it back."""
    place = tree / guard.file
    text = place.read_text(encoding="utf-8")
    try:
        place.write_text(guard.removed_from(text), encoding="utf-8")
    except LookupError as error:
        return str(error)
    try:
        found = run_tests(tree, guard.tests)
    finally:
        place.write_text(text, encoding="utf-8")
    unmoved = [test for test in guard.tests if _function(test) not in found.failed]
    print(f"{'PASSES WITHOUT' if unmoved else 'held'} {guard.name}", flush=True)
    if not unmoved:
        return None
    return f"guard {guard.name!r}: without it {unmoved[0]} does not fail:\n{found.output[-1_500:]}"


def run_tests(tree: Path, tests: Iterable[str]) -> TestsRecord:
    """Run tests in a copy of the tree, with the packages of this environment and the product of the copy."""
    report, kept = tree.parent / "junit.xml", tree.parents[1] / "cache"
    report.unlink(missing_ok=True)
    # Two versions of a file within a second can have one size: compiled files would hide the change.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={kept}", f"--junitxml={report}", "--timeout=300", *tests],
        cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if not report.is_file():
        return TestsRecord(frozenset(), frozenset(), done.stdout)
    passed, failed = set(), set()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{str(case.get('name')).partition('[')[0]}"
        if case.find("failure") is not None:
            failed.add(name)
        elif case.find("skipped") is None and case.find("error") is None:
            passed.add(name)
    return TestsRecord(frozenset(passed), frozenset(failed), done.stdout)


def _function(test: str) -> str:
    """A node id as junit writes it, without parameters."""
    file, _, rest = test.partition("::")
    return ".".join((file.removesuffix(".py").replace("/", "."), rest.partition("[")[0].replace("::", ".")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
