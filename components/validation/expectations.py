"""Rules on single rows, as expectations of Great Expectations, and their Data Docs.

The only module that imports great_expectations, which takes seconds.
"""

import logging
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import: it reads the variable then

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.checkpoint import UpdateDataDocsAction
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.metadata_types import FailureSeverity

from components.validation.data_docs import make_self_contained
from components.validation.reading import ParsedTable
from components.validation.report import CheckRecord, Severity
from forecasting.config.root import ValidateDataSettings
from forecasting.schema import SERIES_COLUMN, TIMESTAMP_COLUMN

logger = logging.getLogger(__name__)

_SITE = "data_docs"
_SUITE = "table"
_RUN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Fixed, so that the same table gives the same pages."""


@dataclass(frozen=True)
class ExpectationsReport:
    """Results of the suite, one a rule, and whether all of them passed."""

    checks: tuple[CheckRecord, ...]


def expect_table(table: ParsedTable, settings: ValidateDataSettings, *, docs: Path | None) -> ExpectationsReport:
    """Check the parsed rows of the source, before any resampling.

    Args:
        table: Parsed source. It ends at the last target, so that a row of a plan for the days ahead is no
            row whose target is missing.
        settings: Limits and roles.
        docs: Where the Data Docs go (index.html is the result, suite.html the rules); none: no pages.
    """
    frame = table_frame(table)
    with tempfile.TemporaryDirectory() as folder:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        actions: list[Any] = []
        if docs is not None:
            context.add_data_docs_site(_SITE, _site_config(folder))
            actions = [UpdateDataDocsAction(name=_SITE, site_names=[_SITE])]
        asset = context.data_sources.add_pandas("source").add_dataframe_asset(settings.name)
        rows = asset.add_batch_definition_whole_dataframe("rows")
        suite = context.suites.add(gx.ExpectationSuite(name=_SUITE, expectations=suite_of(table, settings)))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=_SUITE, data=rows, suite=suite))
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=_SUITE,
                validation_definitions=[definition],
                actions=actions,
                result_format={"result_format": "SUMMARY", "partial_unexpected_count": 5},
            )
        )
        result = checkpoint.run(
            batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=settings.name, run_time=_RUN_TIME)
        )
        if docs is not None:
            make_self_contained(Path(folder), docs)
    (outcome,) = result.run_results.values()
    checks = tuple(_check_of(found, table) for found in outcome.results)
    logger.info("%d expectations, %d failed", len(checks), sum(not check.passed for check in checks))
    return ExpectationsReport(tuple(sorted(checks, key=lambda check: check.name)))


def table_frame(table: ParsedTable) -> pd.DataFrame:
    """Series, time stamp and numeric columns of the source, a row a row."""
    series = pd.Categorical.from_codes(table.ids.codes, categories=pd.Index(table.ids.names))
    stamps = pd.to_datetime(table.times.seconds, unit="s", utc=True)
    return pd.DataFrame({SERIES_COLUMN: series, TIMESTAMP_COLUMN: stamps, **table.numbers})


def suite_of(table: ParsedTable, settings: ValidateDataSettings) -> list[gxe.Expectation]:
    """Rules that follow from the configuration: columns, types, missing values, ranges, one row a time stamp."""
    limits, data = settings.validation, settings.data
    mostly_in_range, mostly_there = 1.0 - limits.max_out_of_range_ratio, 1.0 - limits.max_missing_ratio
    rules: list[gxe.Expectation] = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToNotBeNull(column=TIMESTAMP_COLUMN),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=[SERIES_COLUMN, TIMESTAMP_COLUMN], mostly=1.0 - limits.max_duplicate_ratio
        ),
        gxe.ExpectColumnValuesToNotBeNull(column=data.target, mostly=mostly_there),
    ]
    for name in table.numbers:
        rules += [gxe.ExpectColumnToExist(column=name), gxe.ExpectColumnValuesToBeOfType(column=name, type_="float64")]
    for name in (*data.known, *data.observed):
        # A missing covariate is NaN to the model too; only a column without any value is an error.
        rules.append(
            gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=mostly_there, severity=FailureSeverity.WARNING)
        )
    for name, (low, high) in limits.ranges.items():
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=mostly_in_range)
        )
    return rules


def _check_of(found: Any, table: ParsedTable) -> CheckRecord:
    configuration, values = found.expectation_config, found.result
    rule = configuration.type
    columns = configuration.kwargs.get("column") or ", ".join(configuration.kwargs.get("column_list", ()))
    severity = Severity.WARNING if str(configuration.severity or "").lower().endswith("warning") else Severity.ERROR
    if message := _exception_message(found.exception_info or {}):
        return CheckRecord(
            f"{rule}({columns})", False, Severity.ERROR, None, None, f"the rule could not be evaluated: {message}"
        )
    observed, ratio = values.get("observed_value"), values.get("unexpected_percent")
    # Great Expectations drops `mostly` where it is 1, its default.
    limit = None if ratio is None else round(1.0 - configuration.kwargs.get("mostly", 1.0), 12)
    return CheckRecord(
        name=f"{rule}({columns})",
        passed=bool(found.success),
        severity=severity,
        found=observed if ratio is None else ratio / 100,
        limit=limit,
        message=_sentence(configuration.kwargs, rule, columns, values, table),
    )


def _exception_message(info: dict[str, Any]) -> str | None:
    """What went wrong inside a rule: at the top, or below the metric that it needed."""
    nested = [entry for entry in (info, *info.values()) if isinstance(entry, dict)]
    return next((entry["exception_message"] for entry in nested if entry.get("exception_message")), None)


def _sentence(kwargs: dict[str, Any], rule: str, columns: str, values: dict[str, Any], table: ParsedTable) -> str:
    subject = f"{rule} on {columns}" if columns else rule
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


def _site_config(folder: str) -> Any:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": folder},
    }
