"""The suite learned from the champion's training, and what its results mean."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import pandas as pd

from components.validation.learned import LearnedReport
from components.validation.report import CheckRecord, Severity
from components.validation.series_expectations import SeriesExpectation
from components.validation.suites import RULE_KEY, SuiteSpec, error_message
from forecasting.config.validation import LearnedConfig, ValidationConfig

LEARNED_SUITE = "learned"


class ExpectColumnRangeAsLearned(SeriesExpectation):
    """Values lie in the range of the champion's training, and a margin."""

    column: str = "outside_ratio"
    words: ClassVar[str] = "at most a share of $limit of the values is outside the range of the champion's training"


class ExpectColumnMissingAsLearned(SeriesExpectation):
    """No more values are missing than in the champion's training."""

    column: str = "missing_increase"
    words: ClassVar[str] = "the share of missing values is at most $limit above that of the champion's training"


class ExpectTableRowsAsLearned(SeriesExpectation):
    """As many rows come in a period as in the champion's training."""

    column: str = "rows_change"
    words: ClassVar[str] = "the rows of a period differ by at most a share of $limit from the champion's training"


class ExpectColumnCategoriesAsLearned(SeriesExpectation):
    """A static column has no category that the champion was not trained on."""

    column: str = "n_new_categories"
    words: ClassVar[str] = "no category is new to the champion"


class ExpectColumnPsiToBeLow(SeriesExpectation):
    """The population stability index against the same season."""

    column: str = "psi"
    words: ClassVar[str] = "the population stability index against the same season is at most $limit"


class ExpectColumnKsToBeLow(SeriesExpectation):
    """The Kolmogorov-Smirnov statistic against the same season."""

    column: str = "ks"
    words: ClassVar[str] = "the Kolmogorov-Smirnov statistic against the same season is at most $limit"


_EXPECTATION_OF: dict[str, type[SeriesExpectation]] = {
    "learned_range": ExpectColumnRangeAsLearned,
    "learned_missing": ExpectColumnMissingAsLearned,
    "learned_rows": ExpectTableRowsAsLearned,
    "learned_categories": ExpectColumnCategoriesAsLearned,
    "drift_psi": ExpectColumnPsiToBeLow,
    "drift_ks": ExpectColumnKsToBeLow,
}


def learned_suite(reports: Sequence[LearnedReport], limits: LearnedConfig) -> SuiteSpec:
    """Six expectations on a frame of one row a column."""
    limit_of = {
        "learned_range": limits.max_outside_ratio,
        "learned_missing": limits.max_missing_increase,
        "learned_rows": limits.max_rows_change,
        "learned_categories": 0.0,
        "drift_psi": limits.max_psi,
        "drift_ks": limits.max_ks,
    }
    frame = pd.DataFrame([asdict(report) for report in reports])
    expectations = tuple(kind(limit=limit_of[rule], meta={RULE_KEY: rule}) for rule, kind in _EXPECTATION_OF.items())
    return SuiteSpec(LEARNED_SUITE, (frame,), expectations, is_complete=True)


def learned_checks(
    results: tuple[Any, ...], reports: Sequence[LearnedReport], limits: ValidationConfig
) -> tuple[CheckRecord, ...]:
    """One check a rule."""
    found_of = {result.expectation_config.meta[RULE_KEY]: result for result in results}
    return tuple(_check(rule, found_of[rule], reports, limits) for rule in _EXPECTATION_OF)


def _check(rule: str, found: Any, reports: Sequence[LearnedReport], limits: ValidationConfig) -> CheckRecord:
    kind, limit = _EXPECTATION_OF[rule], found.expectation_config.kwargs.get("limit", 0.0)
    measure = str(kind.__fields__["column"].default)
    if message := error_message(found.exception_info or {}):
        return CheckRecord(rule, False, Severity.FAIL, None, limit, f"the rule could not be evaluated: {message}", rule)
    bad = [reports[int(i)] for i in found.result.get("unexpected_index_list") or ()]
    values = [getattr(report, measure) for report in reports if getattr(report, measure) == getattr(report, measure)]
    largest = max(values, default=None)
    message = (
        "nothing to compare" if largest is None else f"the largest {measure} is {largest:.4g}, allowed is {limit:g}"
    )
    if bad:
        named = "; ".join(
            f"{report.column!r}: {measure} is {getattr(report, measure):.4g}"
            + (f" against {report.reference}" if rule.startswith("drift") else "")
            + (f" ({report.reference})" if rule == "learned_categories" else "")
            for report in bad
        )
        message = f"{named}; allowed is {limit:g} against the champion's training"
    severity = Severity(limits.severity_of(rule).value)
    return CheckRecord(rule, not bad, severity, largest, limit, message, rule)
