"""The table of faults is whole: each case has tests that exist, each guard stands where it is said to stand."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.faults.page import PAGE, page
from tests.faults.records import ROOT, FaultCase, GuardPatch, node_ids, read_cases, read_guards
from tests.faults.remove_guards import without

CASES, GUARDS = read_cases(), read_guards()


@cache
def functions(file: str) -> frozenset[str]:
    """Names of the functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_fault_from_1_to_54_is_there_once_and_in_order():
    assert [case.number for case in CASES] == list(range(1, 55))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.number))
def test_a_case_has_tests_that_exist_or_is_said_to_be_open(case: FaultCase):
    tests = node_ids(case, GUARDS)
    assert tests or case.result in ("open", "elsewhere")
    assert case.note or case.result not in ("part", "elsewhere", "fixed")
    missing = [
        test for test in tests if test.partition("::")[2].partition("[")[0] not in functions(test.partition("::")[0])
    ]
    assert missing == []


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_stands_once_where_it_is_said_to_stand(guard: GuardPatch):
    without_it = guard.removed_from((ROOT / guard.file).read_text(encoding="utf-8"))
    ast.parse(without_it)
    assert guard.tests
    assert {case.number for case in CASES} >= set(guard.cases)


def test_no_two_guards_have_one_name():
    assert [name for name, count in Counter(guard.name for guard in GUARDS).items() if count > 1] == []


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page(CASES, GUARDS)


def guard_of(**changes: object) -> GuardPatch:
    fields = {"name": "a guard", "cases": (1,), "file": "product.py", "old": "x = 1\n", "new": "x = 2\n",
              "tests": ("test_product.py::test_x_is_1",), **changes}  # fmt: skip
    return GuardPatch(**fields)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one line and its test."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "product.py").write_text("x = 1\n")
    (folder / "test_product.py").write_text(
        "import product\n\n\ndef test_x_is_1():\n    assert product.x == 1\n\n\ndef test_x():\n    assert product.x\n"
    )
    return folder


def test_a_guard_whose_test_fails_without_it_is_held_and_put_back(tree):
    assert without(tree, guard_of()) is None
    assert (tree / "product.py").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"old": "y = 1\n"}, "guard 'a guard' must stand in product.py once, found 0 times"),
        ({"tests": ("test_product.py::test_x",)}, "without it test_product.py::test_x does not fail"),
        ({"tests": ("test_product.py::test_y",)}, "without it test_product.py::test_y does not fail"),
        ({"new": "x =\n"}, "without it test_product.py::test_x_is_1 does not fail"),
    ],
)
def test_a_guard_that_is_gone_or_that_no_test_holds_is_a_fault(tree, changes, fault):
    found = without(tree, guard_of(**changes))
    assert found is not None
    assert fault in found
