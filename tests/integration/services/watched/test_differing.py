"""The criterion by which a panel moved, on lines made by hand."""

import re
from pathlib import Path

import pytest

from tests.integration.services.watched.differing import differs
from tests.integration.services.watched.expected import NOT_MOVED
from tests.integration.services.watched.faults import FAULTS
from tests.integration.services.watched.queries import LineRecord


def _line(*values, begin=0.0, **labels):
    return LineRecord(labels, tuple((begin + number, float(value)) for number, value in enumerate(values)))


CALM = [_line(1.0, 1.2, 1.1, 1.0)]


@pytest.mark.parametrize(
    ("now", "is_different"),
    [
        (_line(1.1, 1.0, 1.4), False),
        (_line(1.1, 9.0, 1.1), False),
        (_line(1.1, 1.6, 1.6), True),
        (_line(0.1, 0.1, 1.0), True),
    ],
)
def test_a_line_moved_where_two_points_left_the_band_of_the_calm(now, is_different):
    assert differs([now], CALM, end=3) is is_different


def test_a_line_that_ended_or_never_was_moved_and_one_of_zeros_did_not():
    assert differs([_line(1.0, 1.0)], CALM, end=9)
    assert differs([], CALM, end=3)
    assert differs([*CALM, _line(5, 5, role="new")], CALM, end=4)
    assert not differs([*CALM, _line(0, 0, role="new")], CALM, end=4)
    assert not differs([], [], end=4)


def test_a_line_of_zeros_moves_with_anything_above_a_millionth():
    assert differs([_line(0.01, 0.01)], [_line(0, 0, 0)], end=2)


def test_the_page_of_the_dashboards_names_every_panel_that_no_fault_moves_and_every_part():
    page = (Path(__file__).parents[4] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    for (board, title), why in NOT_MOVED.items():
        assert f"| {title} ({board}) | {why} |" in page
    for name, fault in FAULTS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        assert set(re.findall(r"`(Forecast\w+)`", row)) == fault.alerts
