"""The rules on real trainings that were made to show each pattern; docs/tuning.md says which were seen when the rules were set."""

import json
from collections import Counter
from pathlib import Path

from forecasting.learning_patterns import LearningPattern
from tests.benchmarks.diagnose import KEPT, KEPT_FRESH, judge, matrix_lines, right_ratio

PATTERNS = {pattern.value for pattern in LearningPattern} - {LearningPattern.TOO_SHORT.value}


def runs() -> list[dict]:
    return json.loads(KEPT.read_text(encoding="utf-8"))


def fresh_runs() -> list[dict]:
    return json.loads(KEPT_FRESH.read_text(encoding="utf-8"))


def test_each_pattern_has_eight_runs_over_three_tables_and_two_kinds() -> None:
    assert Counter(run["pattern"] for run in runs()) == dict.fromkeys(PATTERNS, 8)
    for pattern in PATTERNS:
        found = [run for run in runs() if run["pattern"] == pattern]
        assert {run["table"] for run in found} == {"victoria", "oil", "m4"}
        assert {run["kind"] for run in found} == {"segment_lstm", "gru"}


def test_as_many_runs_are_named_right_as_the_page_says() -> None:
    assert right_ratio(judge(runs())) == 77 / 80
    assert right_ratio(judge(fresh_runs())) == 36 / 40


def test_fresh_runs_are_four_a_pattern_of_another_table() -> None:
    assert Counter(run["pattern"] for run in fresh_runs()) == dict.fromkeys(PATTERNS, 4)
    assert {run["table"] for run in fresh_runs()}.isdisjoint(run["table"] for run in runs())


def test_the_confusion_matrix_of_the_page_is_that_of_the_runs() -> None:
    page = Path("docs/tuning.md").read_text(encoding="utf-8")
    assert "\n".join(matrix_lines(judge(runs()))) in page
