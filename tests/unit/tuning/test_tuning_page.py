"""The page of a search: what stands on it, and that it asks for nothing."""

import re
from dataclasses import replace

import pytest

from components.tuning.drawings import history_svg, importance_svg, parallel_svg
from components.tuning.page import render_tuning_page
from forecasting.tuning_record import TuningReport
from tests.unit.tuning.test_stages import report_of, staged


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> TuningReport:
    return report_of(*staged(tmp_path_factory.mktemp("search")))


def test_every_part_of_a_staged_search_is_on_the_page(report: TuningReport) -> None:
    page = render_tuning_page(report)
    for part in ("Finalists", "History", "What matters", "Settings together", "One at a time", "Architectures"):
        assert f"<h2>{part}</h2>" in page
    assert "Searched together after this: forecast.context, model.units." in page
    assert f"{report.finalists[0].trial} (winner)" in page


def test_the_page_asks_for_nothing_and_runs_nothing(report: TuningReport) -> None:
    page = render_tuning_page(report)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "default-src 'none'" in page


def test_a_joint_search_has_no_empty_parts(report: TuningReport) -> None:
    joint = replace(report, trials=report.trials[:1], finalists=(), importance={}, searched=(), best=0)
    page = render_tuning_page(joint)
    for part in ("Finalists", "What matters", "Settings together", "One at a time", "Architectures"):
        assert f"<h2>{part}</h2>" not in page


def test_a_search_without_a_score_has_no_drawings(report: TuningReport) -> None:
    lost = replace(report, trials=tuple(replace(trial, value=None) for trial in report.trials), importance={})
    assert (history_svg(lost), importance_svg({}), parallel_svg(lost, ["model.units"])) == ("", "", "")


def test_the_line_of_the_best_never_goes_up_where_less_is_better(report: TuningReport) -> None:
    (points,) = re.findall(r'class="best" points="([^"]+)"', history_svg(report))
    heights = [float(point.split(",")[1]) for point in points.split()]
    across = [float(point.split(",")[0]) for point in points.split()]
    assert heights == sorted(heights)
    assert across == sorted(across)


def test_names_are_escaped(report: TuningReport) -> None:
    assert "&lt;b&gt;" in importance_svg({"<b>": 1.0})
