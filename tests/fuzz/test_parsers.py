"""A short run of the fuzzer, and everything that it ever found; `make fuzz` runs a million times a parser."""

from pathlib import Path

import pytest

from tests.fuzz.drive import FOUND, fuzz
from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import FuzzTarget, targets

N_SHORT = 1_000
FILES = sorted(FOUND.glob("*/*"))


@pytest.mark.parametrize("name", targets())
def test_a_parser_raises_what_it_says_or_reads(name, tmp_path):
    report = fuzz(name, n_executions=N_SHORT, seed=5, kept=tmp_path)
    assert report.faults == {}
    assert report.n_executions == N_SHORT
    assert len(report.answers) >= 1


@pytest.mark.parametrize("name", targets())
def test_a_parser_begins_with_something_that_it_reads(name):
    target = targets()[name]()
    assert "read" in {target.run(seed) for seed in target.seeds}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_was_found_once_is_refused(file: Path):
    target = targets()[file.parent.name]()
    assert target.run(file.read_bytes()) != "read"


def test_a_fault_is_kept_with_what_brings_it(tmp_path, monkeypatch):
    def parse(sent: bytes) -> None:
        if b"\xff" in sent:
            raise KeyError(sent)

    monkeypatch.setitem(
        fuzz.__globals__, "targets", lambda: {"toy": lambda: FuzzTarget(parse, (ValueError,), (b"ab",))}
    )
    report = fuzz("toy", n_executions=200, seed=1, kept=tmp_path)
    ((text, file),) = report.faults.items()
    assert text.startswith("KeyError at test_parsers.py:")
    assert b"\xff" in Path(file).read_bytes()


def test_the_same_seed_makes_the_same_bytes():
    assert list(mutated((b"abc",), n=50, seed=3)) == list(mutated((b"abc",), n=50, seed=3))
    assert list(mutated((b"abc",), n=50, seed=3)) != list(mutated((b"abc",), n=50, seed=4))
