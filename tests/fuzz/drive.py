"""Fuzzes the parsers: `python -m tests.fuzz.drive --executions 1000000 --out build/fuzz.json`, which `make fuzz` does.

Each parser runs in a process of its own, so that a crash of a C library is noticed too. What was read when it happened is kept
in `build/fuzz/<parser>/`; a file of it belongs into `tests/fuzz/found/<parser>/` once the fault is mended.
"""

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import targets

FOUND = Path(__file__).with_name("found")
_LOOK = 50_000


@dataclass
class FuzzReport:
    """What came of one parser: answers by name, faults with the file that brings them, the slowest execution."""

    n_executions: int = 0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def fuzz(name: str, *, n_executions: int, seed: int, kept: Path, position: Any = None) -> FuzzReport:
    """Run one parser in this process, and keep what brings each fault; `position` is told how far it is."""
    target, answers, report = targets()[name](), Counter[str](), FuzzReport()
    kept.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    for sent in mutated((*target.seeds, *found(name)), n=n_executions, seed=seed):
        if position is not None:
            position.value = report.n_executions
        began = time.perf_counter()
        try:
            answers[target.run(sent)] += 1
        except Exception as error:  # noqa: BLE001  # every other error is what is looked for
            _keep(report, kept, sent, error)
        report.slowest_s = max(report.slowest_s, time.perf_counter() - began)
        report.n_executions += 1
        if not report.n_executions % _LOOK:
            print(f"{name}: {report.n_executions} executions, {len(report.faults)} faults", flush=True)
    report.cpu_s, report.answers = time.process_time() - start, dict(answers)
    return report


def found(name: str) -> list[bytes]:
    """What brought faults that are mended now."""
    return [path.read_bytes() for path in sorted((FOUND / name).glob("*"))]


def _keep(report: FuzzReport, kept: Path, sent: bytes, error: Exception) -> None:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else "?"
    text = f"{type(error).__name__} at {where}"
    if text not in report.faults:
        file = kept / hashlib.sha256(sent).hexdigest()[:12]
        file.write_bytes(sent)
        report.faults[text] = str(file)
        print(f"FAULT {text}: {str(error)[:200]}; {file}", flush=True)


def _child(name: str, n_executions: int, seed: int, kept: Path, position: Any, connection: Connection) -> None:
    connection.send(asdict(fuzz(name, n_executions=n_executions, seed=seed, kept=kept, position=position)))


def _crashed(name: str, code: int | None, *, seed: int, kept: Path, position: int) -> FuzzReport:
    """What is known of a parser that took its process with it: the bytes are made again."""
    seeds = (*targets()[name]().seeds, *found(name))
    sent = next(islice(mutated(seeds, n=position + 1, seed=seed), position, None))
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "crash").write_bytes(sent)
    return FuzzReport(position, faults={f"the process ended with {code}": str(kept / "crash")})


def main(words: Sequence[str]) -> int:
    """Fuzz the named parsers, or all; returns 1 where there are faults."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="parsers; none: all")
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(words)
    document = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    context, n_faults = multiprocessing.get_context("spawn"), 0
    for name in given.names or targets():
        reader, writer = context.Pipe(duplex=False)
        kept, position = given.out.parent / "fuzz" / name, RawValue("Q", 0)
        child = context.Process(target=_child, args=(name, given.executions, given.seed, kept, position, writer))
        child.start()
        writer.close()
        try:
            document[name] = reader.recv()
        except EOFError:
            child.join()
            crashed = _crashed(name, child.exitcode, seed=given.seed, kept=kept, position=position.value)
            document[name] = asdict(crashed)
        child.join()
        n_faults += len(document[name]["faults"])
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"{len(document)} parsers, {n_faults} faults; {given.out}")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
