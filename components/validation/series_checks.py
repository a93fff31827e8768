"""The rules on series at work: their suite, and what its results mean."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from components.validation.expectations import ExpectationsReport
from components.validation.report import BrokenRuleRecord, CheckRecord, Severity
from components.validation.series_expectations import EXPECTATION_OF
from components.validation.series_profile import SeriesProfileReport
from components.validation.series_rules import SeriesRuleSpec, measures
from components.validation.suites import RULE_KEY, SuiteSpec, error_message
from forecasting.config.root import ValidateDataSettings
from forecasting.series_store import SERIES_COLUMN

SERIES_SUITE = "series"
_N_NAMED = 4
"""Series named in a sentence beside the worst."""


def series_suite(profiles: Sequence[SeriesProfileReport], rules: Sequence[SeriesRuleSpec]) -> SuiteSpec:
    """One expectation a rule, on a frame of one row a series."""
    frame = pd.DataFrame({SERIES_COLUMN: [profile.series for profile in profiles], **measures(profiles, rules)})
    expectations = tuple(
        EXPECTATION_OF[rule.rule](column=rule.column, limit=rule.limit, meta={RULE_KEY: rule.rule}) for rule in rules
    )
    return SuiteSpec(SERIES_SUITE, (frame,), expectations, is_complete=True)


def series_checks(
    results: tuple[Any, ...], profiles: Sequence[SeriesProfileReport], rules: Sequence[SeriesRuleSpec],
    *, settings: ValidateDataSettings,
) -> ExpectationsReport:  # fmt: skip
    """What the results of the suite mean: one check a rule, and one record a series that breaks it."""
    found_of = {result.expectation_config.meta[RULE_KEY]: result for result in results}
    checks, broken = [], []
    for rule in rules:
        severity = Severity(settings.validation.severity_of(rule.rule).value)
        found = found_of[rule.rule]
        if message := error_message(found.exception_info or {}):
            text = f"the rule could not be evaluated: {message}"
            checks.append(CheckRecord(rule.rule, False, Severity.FAIL, None, rule.limit, text, rule=rule.rule))
            continue
        bad = [profiles[int(i)] for i in found.result.get("unexpected_index_list") or ()]
        checks.append(_check(rule, severity, bad, profiles))
        broken += [BrokenRuleRecord(one.series, rule.rule, f"{rule.rule}: {rule.sentence(one)}") for one in bad]
    return ExpectationsReport(tuple(checks), tuple(broken))


def _check(
    rule: SeriesRuleSpec, severity: Severity, bad: Sequence[SeriesProfileReport],
    profiles: Sequence[SeriesProfileReport],
) -> CheckRecord:  # fmt: skip
    largest = max(rule.measure(profile) for profile in profiles)
    message = f"{len(profiles):,} series; the largest {rule.column} is {largest:g}, allowed is {rule.limit:g}"
    if bad:
        worst = max(bad, key=rule.measure)
        message = f"series {worst.series!r}: {rule.sentence(worst)}"
        others = [repr(one.series) for one in bad if one is not worst]
        if others:
            more = f" and {len(others) - _N_NAMED:,} more" if len(others) > _N_NAMED else ""
            message += f"; {len(bad):,} of {len(profiles):,} series, also {', '.join(others[:_N_NAMED])}{more}"
    return CheckRecord(
        rule.rule, not bad, severity, largest, rule.limit, message,
        rule=rule.rule, series=tuple(one.series for one in bad),
    )  # fmt: skip
