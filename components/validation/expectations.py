"""Rules on single rows, as expectations of Great Expectations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd

from components.validation.reading import ParsedTable, number_columns
from components.validation.report import BrokenRuleRecord, CheckRecord, Severity
from components.validation.sources.table import RowPlaces
from components.validation.suites import RULE_KEY, SuiteSpec, error_message
from components.validation.value_rules import ValueRuleSpec, value_rules
from forecasting.config.root import ValidateDataSettings
from forecasting.series_store import SERIES_COLUMN, TIMESTAMP_COLUMN

ROW_SUITE = "table"


@dataclass(frozen=True)
class ExpectationsReport:
    """Results of suites, one check an expectation, and which series breaks which rule."""

    checks: tuple[CheckRecord, ...]
    broken: tuple[BrokenRuleRecord, ...]


def row_suite(tables: Iterable[ParsedTable], settings: ValidateDataSettings) -> SuiteSpec:
    """Rules that follow from the configuration: columns, types, missing values, ranges.

    Args:
        tables: Parts of the parsed source, before any resampling. They end at the last target, so that a row of a plan
            for the days ahead is no row whose target is missing.
        settings: Limits and roles.
    """
    target, *others = value_rules(settings)
    rules: list[gxe.Expectation] = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={RULE_KEY: "rows"}),
        gxe.ExpectColumnValuesToNotBeNull(column=TIMESTAMP_COLUMN, meta={RULE_KEY: "types"}),
        _expectation(target),
    ]
    for name in number_columns(settings.data):
        rules += [
            gxe.ExpectColumnToExist(column=name, meta={RULE_KEY: "columns"}),
            gxe.ExpectColumnValuesToBeOfType(column=name, type_="float64", meta={RULE_KEY: "types"}),
        ]
    return SuiteSpec(ROW_SUITE, map(table_frame, tables), (*rules, *map(_expectation, others)))


def _expectation(rule: ValueRuleSpec) -> gxe.Expectation:
    mostly, meta = 1.0 - rule.limit, {RULE_KEY: rule.rule}
    if not rule.is_range:
        return gxe.ExpectColumnValuesToNotBeNull(column=rule.column, mostly=mostly, meta=meta)
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column, min_value=rule.low, max_value=rule.high, mostly=mostly, meta=meta
    )


def table_frame(table: ParsedTable) -> pd.DataFrame:
    """Series, time stamp and numeric columns of the source, a row a row; the index is the place in the source."""
    series = pd.Categorical.from_codes(table.ids.codes, categories=pd.Index(table.ids.names))
    stamps = pd.to_datetime(table.times.seconds, unit="s", utc=True)
    places = range(table.n_rows) if table.source.rows is None else table.source.rows
    return pd.DataFrame({SERIES_COLUMN: series, TIMESTAMP_COLUMN: stamps, **table.numbers}, index=pd.Index(places))


def row_checks(
    results: tuple[Any, ...], broken: Mapping[str, Sequence[BrokenRuleRecord]], places: RowPlaces,
    settings: ValidateDataSettings,
) -> ExpectationsReport:  # fmt: skip
    """What the results of the suite mean under the severities of the configuration.

    Args:
        results: Of the suite on the whole table.
        broken: Which series break a rule that is judged within each, from `broken_in_series` of all parts.
        places: Names of rows.
        settings: Severities.
    """
    checks = []
    for found in results:
        check = _check_of(found, places, settings)
        if check.name in broken and found.result:
            series = tuple(record.series for record in broken[check.name])
            check = replace(check, passed=not series, series=series)
        checks.append(check)
    records = tuple(record for found in broken.values() for record in found)
    return ExpectationsReport(tuple(sorted(checks, key=lambda check: check.name)), records)


def _check_of(found: Any, places: RowPlaces, settings: ValidateDataSettings) -> CheckRecord:
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
        message=_sentence(configuration.kwargs, kind, columns, values, places),
        rule=rule,
    )


def _sentence(kwargs: dict[str, Any], kind: str, columns: str, values: dict[str, Any], places: RowPlaces) -> str:
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
        message += f", the first is {places.name(first)} with {value}"
    return message
