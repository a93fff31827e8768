"""Rules on single rows, as expectations of Great Expectations."""

from dataclasses import dataclass
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import numpy.typing as npt
import pandas as pd

from components.validation.reading import ParsedTable
from components.validation.report import BrokenRuleRecord, CheckRecord, Severity
from components.validation.suites import RULE_KEY, SuiteSpec, error_message
from forecasting.config.root import ValidateDataSettings
from forecasting.schema import SERIES_COLUMN, TIMESTAMP_COLUMN

ROW_SUITE = "table"


@dataclass(frozen=True)
class ExpectationsReport:
    """Results of suites, one check an expectation, and which series breaks which rule."""

    checks: tuple[CheckRecord, ...]
    broken: tuple[BrokenRuleRecord, ...]


def row_suite(table: ParsedTable, settings: ValidateDataSettings) -> SuiteSpec:
    """Rules that follow from the configuration: columns, types, missing values, ranges.

    Args:
        table: Parsed source, before any resampling. It ends at the last target, so that a row of a plan for
            the days ahead is no row whose target is missing.
        settings: Limits and roles.
    """
    limits, data = settings.validation, settings.data
    in_range, there = 1.0 - limits.max_out_of_range_ratio, 1.0 - limits.max_missing_ratio
    rules: list[gxe.Expectation] = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={RULE_KEY: "rows"}),
        gxe.ExpectColumnValuesToNotBeNull(column=TIMESTAMP_COLUMN, meta={RULE_KEY: "types"}),
        gxe.ExpectColumnValuesToNotBeNull(column=data.target, mostly=there, meta={RULE_KEY: "missing_target"}),
    ]
    for name in table.numbers:
        rules += [
            gxe.ExpectColumnToExist(column=name, meta={RULE_KEY: "columns"}),
            gxe.ExpectColumnValuesToBeOfType(column=name, type_="float64", meta={RULE_KEY: "types"}),
        ]
    for name in (*data.known, *data.observed):
        rules.append(gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=there, meta={RULE_KEY: "missing_covariate"}))
    for name, (low, high) in limits.ranges.items():
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=low, max_value=high, mostly=in_range, meta={RULE_KEY: "ranges"}
            )
        )
    return SuiteSpec(ROW_SUITE, table_frame(table), tuple(rules))


def table_frame(table: ParsedTable) -> pd.DataFrame:
    """Series, time stamp and numeric columns of the source, a row a row."""
    series = pd.Categorical.from_codes(table.ids.codes, categories=pd.Index(table.ids.names))
    stamps = pd.to_datetime(table.times.seconds, unit="s", utc=True)
    return pd.DataFrame({SERIES_COLUMN: series, TIMESTAMP_COLUMN: stamps, **table.numbers})


def row_checks(results: tuple[Any, ...], table: ParsedTable, settings: ValidateDataSettings) -> ExpectationsReport:
    """What the results of the suite mean under the severities of the configuration.

    A rule of severity quarantine is judged within each series, any other over the whole table.
    """
    checks, broken = [], []
    for found in results:
        check = _check_of(found, table, settings)
        if check.severity is Severity.QUARANTINE:
            check, of_series = _by_series(check, found.expectation_config.kwargs, table)
            broken += of_series
        checks.append(check)
    return ExpectationsReport(tuple(sorted(checks, key=lambda check: check.name)), tuple(broken))


def _check_of(found: Any, table: ParsedTable, settings: ValidateDataSettings) -> CheckRecord:
    configuration, values = found.expectation_config, found.result
    kind, rule = configuration.type, str((configuration.meta or {})[RULE_KEY])
    columns = configuration.kwargs.get("column") or ""
    name = f"{kind}({columns})"
    if message := error_message(found.exception_info or {}):
        return CheckRecord(
            name, False, Severity.FAIL, None, None, f"the rule could not be evaluated: {message}", rule=rule
        )
    observed, ratio = values.get("observed_value"), values.get("unexpected_percent")
    # Great Expectations drops `mostly` where it is 1, its default.
    limit = None if ratio is None else round(1.0 - configuration.kwargs.get("mostly", 1.0), 12)
    return CheckRecord(
        name=name,
        passed=bool(found.success),
        severity=Severity(settings.validation.severity_of(rule).value),
        found=observed if ratio is None else ratio / 100,
        limit=limit,
        message=_sentence(configuration.kwargs, kind, columns, values, table),
        rule=rule,
    )


def _by_series(
    check: CheckRecord, kwargs: dict[str, Any], table: ParsedTable
) -> tuple[CheckRecord, list[BrokenRuleRecord]]:
    """The same check judged within each series, and the series that fail it."""
    column = table.numbers.get(str(kwargs.get("column")))
    if column is None or not isinstance(check.limit, float):
        return check, []
    bad = _is_unexpected(column, kwargs)
    n_series = len(table.ids.names)
    n_bad = np.bincount(table.ids.codes[bad], minlength=n_series)
    ratios = n_bad / np.maximum(np.bincount(table.ids.codes, minlength=n_series), 1)
    over = np.flatnonzero(ratios > check.limit)
    first = np.full(n_series, -1, dtype=np.int64)
    places = np.flatnonzero(bad)[::-1]
    first[table.ids.codes[places]] = places
    broken = [
        BrokenRuleRecord(
            table.ids.names[i],
            check.rule,
            f"{check.name}: {n_bad[i]:,} rows are unexpected, the first is {table.source.row_name(int(first[i]))} "
            f"with {column[first[i]]:g}",
        )
        for i in over
    ]
    series = tuple(record.series for record in broken)
    return CheckRecord(
        check.name, not broken, check.severity, check.found, check.limit, check.message, check.rule, series
    ), broken


def _is_unexpected(column: npt.NDArray[np.float64], kwargs: dict[str, Any]) -> npt.NDArray[np.bool_]:
    if "min_value" not in kwargs and "max_value" not in kwargs:
        return np.isnan(column)
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    return (column < (-np.inf if low is None else low)) | (column > (np.inf if high is None else high))


def _sentence(kwargs: dict[str, Any], kind: str, columns: str, values: dict[str, Any], table: ParsedTable) -> str:
    subject = f"{kind} on {columns}" if columns else kind
    n_unexpected = values.get("unexpected_count")
    if n_unexpected is None:
        return f"{subject}: found {values['observed_value']}" if "observed_value" in values else subject
    bounds = (
        f" from {kwargs.get('min_value')} to {kwargs.get('max_value')}"
        if "min_value" in kwargs or "max_value" in kwargs
        else ""
    )
    message = f"{subject}{bounds}: {n_unexpected:,} of {values['element_count']:,} rows are unexpected"
    rows = values.get("partial_unexpected_index_list") or []
    if n_unexpected and rows:
        first = int(rows[0])
        value = (values.get("partial_unexpected_list") or [None])[0]
        message += f", the first is {table.source.row_name(first)} with {value}"
    return message
