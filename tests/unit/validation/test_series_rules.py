"""The rules on series: every one through the real expectation, broken and kept."""

import re

import numpy as np
import pytest

from components.validation.series_expectations import EXPECTATION_OF
from components.validation.validate_data import validate_data
from forecasting.config.rules import RULES, RuleSeverity
from forecasting.errors import ConfigError
from tests.unit.validation.tables import hourly_lines, write_table


@pytest.fixture
def broken(make_settings, context, tmp_path):
    """Validate lines of a table of sites; gives the series that break each rule, and the pages."""

    def run(lines: list[str], header: str = "time,load,temperature,site", **sections: object):
        data = {"id_columns": ["site"], **sections.pop("data", {})}
        settings = make_settings(write_table(tmp_path / "t.csv", lines, header), data=data, **sections)
        output = tmp_path / "out"
        output.mkdir()
        validate_data(settings, {}, output, context)
        return settings, output

    def series(*arguments, **sections):
        import json

        _, output = run(*arguments, **sections)
        report = json.loads((output / "report.json").read_text())
        return {check["rule"]: check["series"] for check in report["checks"] if check["series"]}, output

    return series


def site(name: str, loads: np.ndarray | None = None, n_hours: int = 400) -> list[str]:
    lines = [line.split(",") for line in hourly_lines(n_hours)]
    if loads is None:
        loads = 100 + 10 * np.sin(np.arange(n_hours) * 2 * np.pi / 24) + np.arange(n_hours) % 7
    return [f"{line[0]},{load:.2f},{line[2]},{name}" for line, load in zip(lines, loads, strict=True)]


def test_every_rule_on_series_has_an_expectation_whose_name_is_in_the_data_docs(broken):
    limits = {"max_series_age": "48h", "min_history": "10d"}
    found, output = broken(site("a") + site("b"), validation=limits)
    assert found == {}
    page = re.sub(r"<[^>]*>", "", (output / "data_docs" / "series.html").read_text())
    for kind in EXPECTATION_OF.values():
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        assert re.sub(r"_a_([a-z])", r"_a_\1", name) in page, name
    assert 'href="series.html"' in (output / "data_docs" / "index.html").read_text()


def test_each_fault_is_found_in_its_series_and_in_no_other(broken):
    faults = {
        "gap": site("gap")[:100] + site("gap")[130:],
        "jump": site("jump", np.r_[np.full(200, 100.0), np.full(200, 190.0)] + np.arange(400) % 24),
        "unit": site("unit", np.r_[np.full(200, 1.0), np.full(200, 1000.0)] * (100 + np.arange(400) % 24)),
        "flat": site("flat", np.full(400, 3.0)),
        "old": site("old")[:300],
        "new": site("new")[300:],
        "order": [*site("order")[:7], *reversed(site("order")[7:9]), *site("order")[9:]],
        "grid": [line.replace("T05:00", "T05:20") for line in site("grid")],
    }
    lines = [line for part in faults.values() for line in part] + site("good")
    found, _ = broken(
        lines, validation={"max_gap": "24h", "max_gap_ratio": 0.05, "max_series_age": "48h", "min_history": "10d"}
    )
    assert found.pop("level_shift") == ["jump", "unit"]
    assert found == {
        "gaps": ["gap"],
        "gap_share": ["gap"],
        "unit_change": ["unit"],
        "constant_target": ["flat"],
        "stale_series": ["old"],
        "short_history": ["new"],
        "order": ["order"],
        "regular_step": ["grid"],
    }


def test_covariates_must_reach_over_the_horizon_where_the_table_brings_a_plan(broken):
    plan = [f"{line.split(',')[0]},,5,a" for line in site("a", n_hours=424)[400:]]
    data = {"known": ["temperature"]}
    found, _ = broken(site("a") + plan + site("b"), data=data)
    assert found == {"covariates_ahead": ["b"]}


def test_a_table_that_ends_with_its_targets_brings_no_plan_to_complete(broken):
    found, _ = broken(site("a") + site("b"), data={"known": ["temperature"]})
    assert found == {}


def test_an_unknown_rule_is_refused_with_the_nearest(make_settings):
    with pytest.raises(ConfigError, match=r"unknown rule 'missing_targets'; the nearest rule is 'missing_target'"):
        make_settings(validation={"severity": {"missing_targets": "warn"}})


def test_a_rule_of_the_whole_table_cannot_quarantine_a_series(make_settings):
    with pytest.raises(ConfigError, match=r"'leak' is about the whole table; its severity must be fail or warn"):
        make_settings(validation={"severity": {"leak": "quarantine"}})


def test_every_rule_that_may_quarantine_judges_series():
    assert all(rule.by_series for rule in RULES.values() if rule.severity is RuleSeverity.QUARANTINE)
