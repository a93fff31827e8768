"""Great Expectations: the suite of a configuration, its results, its pages without a network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.validation.data_docs import clean_page, make_self_contained
from components.validation.expectations import ROW_SUITE, row_checks, row_suite
from components.validation.parts import read_whole
from components.validation.report import Severity
from components.validation.sources import find_source
from components.validation.suites import run_suites
from components.validation.value_rules import broken_in_series
from forecasting.errors import ArtifactError
from tests.unit.validation.tables import hourly_lines, write_table


@pytest.fixture
def expect(make_settings, context, tmp_path):
    """Run the suite on lines of a table; returns checks by name."""

    def run(lines: list[str], docs: Path | None = None, **sections: object):
        sections.setdefault("data", {"known": ["temperature"]})
        settings = make_settings(write_table(tmp_path / "t.csv", lines), **sections)
        table, settings = read_whole(find_source(settings.data, context.home), settings)
        found = run_suites(settings.name, [row_suite([table], settings)], docs=docs)
        broken = broken_in_series(table, settings)
        return {
            check.name: check for check in row_checks(found[ROW_SUITE], broken, table.source.places, settings).checks
        }

    return run


def test_the_suite_follows_from_the_configuration(expect):
    checks = expect(hourly_lines(50), validation={"ranges": {"load": [0, 1000], "temperature": [None, 60]}})
    assert sorted(checks) == [
        "expect_column_to_exist(load)",
        "expect_column_to_exist(temperature)",
        "expect_column_values_to_be_between(load)",
        "expect_column_values_to_be_between(temperature)",
        "expect_column_values_to_be_of_type(load)",
        "expect_column_values_to_be_of_type(temperature)",
        "expect_column_values_to_not_be_null(load)",
        "expect_column_values_to_not_be_null(temperature)",
        "expect_column_values_to_not_be_null(timestamp)",
        "expect_table_row_count_to_be_between()",
    ]
    assert all(check.passed for check in checks.values())


def test_the_share_out_of_range_may_be_up_to_its_limit(expect):
    lines = hourly_lines(50)
    lines[10] = "2024-01-01T10:00:00Z,-200,1"
    name = "expect_column_values_to_be_between(load)"
    strict = expect(lines, validation={"ranges": {"load": [0, None]}})[name]
    assert not strict.passed
    assert strict.found == pytest.approx(0.02)
    assert strict.limit == 0.0
    assert "1 of 50 rows are unexpected, the first is line 12 with -200.0" in strict.message
    lenient = expect(lines, validation={"ranges": {"load": [0, None]}, "max_out_of_range_ratio": 0.02})[name]
    assert lenient.passed


def test_a_covariate_with_many_gaps_is_a_warning_and_a_target_a_reason_for_quarantine(expect):
    lines = [line if i % 3 else f"{line.split(',')[0]},," for i, line in enumerate(hourly_lines(60))]
    checks = expect(lines)
    target, covariate = (checks[f"expect_column_values_to_not_be_null({name})"] for name in ("load", "temperature"))
    assert (target.passed, target.severity, target.series) == (False, Severity.QUARANTINE, ("load",))
    assert (covariate.passed, covariate.severity) == (False, Severity.WARN)
    assert target.found == pytest.approx(1 / 3)


class LinkCollector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value for name, value in attrs if name in ("href", "src") and value}


def test_the_pages_need_no_network_and_link_to_each_other(expect, tmp_path):
    expect(hourly_lines(50), docs=tmp_path / "docs")
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["index.html", "suite.html"]
    for page in (tmp_path / "docs").iterdir():
        collector = LinkCollector()
        collector.feed(page.read_text())
        assert not collector.tags & {"script", "link", "img", "iframe"}
        assert all(link.startswith("#") or (page.parent / link).is_file() for link in collector.links), collector.links
        assert "http" not in re.sub(r"<[^>]*>", "", page.read_text())
    result = (tmp_path / "docs" / "index.html").read_text()
    assert "suite.html" in result
    assert "values must be of type" in result
    assert "Succeeded" in result


def test_a_failed_rule_is_shown_on_the_page(expect, tmp_path):
    expect(hourly_lines(50), docs=tmp_path / "docs", validation={"ranges": {"load": [0, 150]}})
    page = (tmp_path / "docs" / "index.html").read_text()
    assert "Failed" in page
    assert "unexpected values found" in page


def test_random_ids_and_times_become_stable_numbers():
    page = "<head></head>a-01234567-89ab-cdef-0123-456789abcdef b-01234567-89ab-cdef-0123-456789abcdef 20260101T000000.123456Z"
    assert clean_page(page).split("</head>")[1] == "a-1 b-1 -"


def test_a_site_without_a_result_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"must have one result and one suite, found 0 and 0"):
        make_self_contained(tmp_path, tmp_path / "docs")
