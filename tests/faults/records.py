"""The table of faults: what can go wrong, what must happen then, and which guard and which test hold it.

`cases.toml` has one entry a case, `guards.toml` one a guard: the lines of the product that hold a case, and what
they would be without it. `docs/reliability.md` is made from both.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent

Result = Literal["held", "fixed", "part", "open", "elsewhere"]


@dataclass(frozen=True, kw_only=True)
class FaultCase:
    """A fault or a bad input, and what must happen.

    result: held (it was so when the test was written), fixed (the test found it otherwise), part (the note says what is
    not covered), open (no test yet), elsewhere (no line of this product decides it; the note says who does).
    tests: node ids, beside those of the guards.
    """

    number: int
    fault: str
    demand: str
    result: Result
    tests: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class GuardPatch:
    """Lines of the product without which a case is lost.

    old: text that stands once in `file`. new: the same without the guard. tests: node ids, each of which must fail then.
    """

    name: str
    cases: tuple[int, ...]
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def removed_from(self, text: str) -> str:
        """The text of the file without the guard.

        Raises:
            LookupError: The guard does not stand in it exactly once.
        """
        if (n_found := text.count(self.old)) != 1:
            raise LookupError(f"guard {self.name!r} must stand in {self.file} once, found {n_found} times:\n{self.old}")
        return text.replace(self.old, self.new)


def read_cases() -> tuple[FaultCase, ...]:
    """Every case, by number."""
    entries = tomllib.loads((_HERE / "cases.toml").read_text(encoding="utf-8"))["case"]
    return tuple(FaultCase(**{**entry, "tests": tuple(entry.get("tests", ()))}) for entry in entries)


def read_guards() -> tuple[GuardPatch, ...]:
    """Every guard."""
    entries = tomllib.loads((_HERE / "guards.toml").read_text(encoding="utf-8"))["guard"]
    return tuple(
        GuardPatch(**{**entry, "cases": tuple(entry["cases"]), "tests": tuple(entry["tests"])}) for entry in entries
    )


def node_ids(case: FaultCase, guards: tuple[GuardPatch, ...]) -> tuple[str, ...]:
    """Node ids of a case, each once: its own and those of its guards."""
    of_guards = (test for guard in guards if case.number in guard.cases for test in guard.tests)
    return tuple(dict.fromkeys((*case.tests, *of_guards)))
