"""The step validate_data: read any table, check it, write it as a series store.

A table that cannot be read as series is an error of one line. A table that can be read and is bad
is a result: the store, the report and the Data Docs are written and say what failed.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from components.validation.checks import all_checks, failed_names
from components.validation.grid import StepReport, infer_step
from components.validation.profile import profile_store
from components.validation.reading import ParsedTable, SortingReport, parse_table, sort_rows
from components.validation.report import CheckRecord, ValidationReport, all_passed, iso_time, write_report
from components.validation.sources import open_source
from components.validation.storing import StoreReport, make_store
from forecasting.config.root import StepSettings, ValidateDataSettings
from forecasting.contracts.artifacts import DATA_DOCS_DIR, PROFILE_FILE, REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError, DataError
from forecasting.schema import write_series_store
from forecasting.steps import StepContext, StepOutcome

logger = logging.getLogger(__name__)


def validate_data(
    settings: StepSettings,
    inputs: Mapping[StepName, Path],  # noqa: ARG001 - the step protocol
    output: Path,
    context: StepContext,
) -> StepOutcome:
    """Validate the table of `data.uri` and write it as a series store.

    Args:
        settings: `ValidateDataSettings`.
        inputs: Nothing; this is the first step.
        output: Gets series.parquet, index.parquet, schema.json, report.json, profile.json, data_docs/.
        context: Home of the examples, and the cutoff.

    Returns:
        Passed when no check of severity error failed.

    Raises:
        ConfigError: A setting cannot be met.
        DataError: The table cannot be read as series.
    """
    if not isinstance(settings, ValidateDataSettings):
        raise ConfigError(f"validate_data needs its own settings, found {type(settings).__name__}")
    cutoff = int(parse_cutoff(context.cutoff).timestamp()) if context.cutoff else None
    table = parse_table(open_source(settings.data, context.home), settings, cutoff=cutoff)
    sorting = sort_rows(table)
    step = _source_step(table, sorting)
    made = make_store(table, sorting, step=step, settings=settings, cutoff=cutoff)
    checks = all_checks(table, sorting, step=step, made=made, settings=settings, cutoff=cutoff, created=context.created)
    checks += _expectations(table, settings, output)
    report = _report(table, made, checks)
    write_series_store(made.store, output)
    write_report(report, output / REPORT_FILE)
    (output / PROFILE_FILE).write_text(json.dumps(asdict(profile_store(made.store)), indent=1), encoding="utf-8")
    for check in report.warnings:
        logger.warning("%s: %s", check.name, check.message)
    logger.info(
        "%d series, %d steps up to %s; passed: %s", report.n_series, report.n_steps, report.cutoff, report.passed
    )
    return StepOutcome(report.passed, _summary(report))


def _source_step(table: ParsedTable, sorting: SortingReport) -> StepReport:
    step = infer_step(sorting.rows)
    if step is None:
        raise DataError(
            f"{table.source.name} must have a series with at least two time stamps; its {table.source.table.num_rows:,} rows have one a "
            "series; if a series has several columns as its name, set data.id_columns to all of them"
        )
    return step


def _expectations(table: ParsedTable, settings: ValidateDataSettings, output: Path) -> tuple[CheckRecord, ...]:
    # Imported here: it takes seconds, and whoever only wants the step's name should not pay them.
    from components.validation.expectations import expect_table

    docs = output / DATA_DOCS_DIR if settings.validation.data_docs else None
    return expect_table(table, settings, docs=docs).checks


def _report(table: ParsedTable, made: StoreReport, checks: tuple[CheckRecord, ...]) -> ValidationReport:
    store = made.store
    return ValidationReport(
        passed=all_passed(checks),
        source=table.source.short_name,
        n_rows=table.source.table.num_rows,
        n_series=len(store.series),
        n_steps=sum(series.n_steps for series in store),
        step_s=store.spec.step_s,
        start=iso_time(min(series.start for series in store)),
        cutoff=iso_time(store.spec.split.cutoff),
        unused_columns=table.source.unused_columns,
        checks=checks,
    )


def _summary(report: ValidationReport) -> str:
    size = f"{report.source}: {report.n_series:,} series, {report.n_steps:,} steps of {report.step_s} s up to {report.cutoff}"
    if report.passed:
        warned = f", {len(report.warnings)} warning(s)" if report.warnings else ""
        return f"{size}, {len(report.checks)} checks passed{warned}"
    first = report.failures[0]
    more = f" (failed: {failed_names(report.checks)})" if len(report.failures) > 1 else ""
    return f"{report.source} is refused: {first.message}{more}"
