"""The step validate_data: read any table, check it, write it as a series store.

A table that cannot be read as series is an error of one line. A table that can be read and is bad
is a result: the store, the report and the Data Docs are written and say what failed.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from components.validation.checks import failed_names, note_imputed, table_checks
from components.validation.exclusions import check_exclusions, count_hidden, find_exclusions
from components.validation.grid import StepReport, infer_step
from components.validation.imputation import ImputationReport, impute_store
from components.validation.learned import LearnedReport, compare
from components.validation.page import PAGE_FILE, validation_page
from components.validation.profile import profile_store
from components.validation.quarantine import PartingReport, QuarantineReport, judge_quarantine, part
from components.validation.reading import ParsedTable, SortingReport, parse_table, sort_rows
from components.validation.report import CheckRecord, ValidationReport, all_passed, iso_time, write_report
from components.validation.series_profile import SeriesProfileReport, profile_series
from components.validation.series_rules import series_rules
from components.validation.shaping import shape_source
from components.validation.sources import open_source
from components.validation.storing import make_store
from forecasting.config.root import StepSettings, ValidateDataSettings
from forecasting.contracts.artifacts import DATA_DOCS_DIR, PROFILE_FILE, QUARANTINE_DIR, REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError, DataError
from forecasting.repository import ModelRepository
from forecasting.schema import SeriesStore, read_series_store, write_series_store
from forecasting.steps import StepContext, StepOutcome

if TYPE_CHECKING:
    from components.validation.expectations import ExpectationsReport

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
        output: Gets series.parquet, index.parquet, schema.json, report.json, profile.json, validation.html, data_docs/,
            and quarantine/, a series store of the series that are left out, where there are any.
        context: Home of the examples and of the champion, and the cutoff.

    Returns:
        Passed when no check of severity fail failed.

    Raises:
        ConfigError: A setting cannot be met.
        DataError: The table cannot be read as series.
    """
    if not isinstance(settings, ValidateDataSettings):
        raise ConfigError(f"validate_data needs its own settings, found {type(settings).__name__}")
    cutoff = int(parse_cutoff(context.cutoff).timestamp()) if context.cutoff else None
    source, settings = shape_source(open_source(settings.data, context.home), settings, cutoff=cutoff)
    exclusions = find_exclusions(settings.data, context.home)
    table = parse_table(source, settings, cutoff=cutoff)
    sorting = sort_rows(table, settings.validation.duplicates)
    step = _source_step(table, sorting)
    made = make_store(table, sorting, step=step, settings=settings, cutoff=cutoff, exclusions=exclusions)
    profiles = profile_series(table, sorting, step=step, made=made, settings=settings, created=context.created)
    learned = _learned(made.store, settings, context)
    found = _expectations(table, profiles, step.step_s, learned=learned, settings=settings, output=output)
    quarantine = judge_quarantine(found.broken, ids=made.store.index.ids, limits=settings.validation)
    parting = part(made, quarantine)
    checks = (
        *table_checks(table, sorting, made=parting.made, settings=settings, cutoff=cutoff, created=context.created),
        *((check_exclusions(exclusions, count_hidden(parting.made.store, exclusions)),) if exclusions else ()),
        *found.checks,
        quarantine.check,
    )
    imputed, apart = _impute(parting, settings)
    checks += note_imputed(imputed)
    report = _report(table, imputed.store, checks, quarantine)
    _write(imputed.store, apart, report, output)
    _write_page(report, parting, settings, output)
    _log(report)
    # What is of the future now will not be for a later run.
    is_lasting = not any(check.rule == "future_rows" and not check.passed for check in report.checks)
    return StepOutcome(report.passed, _summary(report), reusable=is_lasting)


def _impute(parting: PartingReport, settings: ValidateDataSettings) -> tuple[ImputationReport, SeriesStore | None]:
    """Fill what is trained on and, so that both have the same columns, what is in quarantine."""
    limits, season = settings.validation, min(settings.forecast.seasons)
    apart = None if parting.apart is None else impute_store(parting.apart, limits, season=season).store
    return impute_store(parting.made.store, limits, season=season), apart


def _write(store: SeriesStore, apart: SeriesStore | None, report: ValidationReport, output: Path) -> None:
    write_series_store(store, output)
    if apart is not None:
        (output / QUARANTINE_DIR).mkdir()
        write_series_store(apart, output / QUARANTINE_DIR)
    write_report(report, output / REPORT_FILE)
    (output / PROFILE_FILE).write_text(json.dumps(asdict(profile_store(store)), indent=1), encoding="utf-8")


def _write_page(report: ValidationReport, parting: PartingReport, settings: ValidateDataSettings, output: Path) -> None:
    season, has_docs = max(settings.forecast.seasons), settings.validation.data_docs
    page = validation_page(report, parting.made.store, season=season, has_docs=has_docs)
    (output / PAGE_FILE).write_text(page, encoding="utf-8")


def _log(report: ValidationReport) -> None:
    for check in report.warnings:
        logger.warning("%s: %s", check.name, check.message)
    for record in report.quarantined:
        logger.warning("series %s is in quarantine: %s", record.series, record.reason)
    logger.info(
        "%d series, %d steps up to %s; passed: %s", report.n_series, report.n_steps, report.cutoff, report.passed
    )


def _source_step(table: ParsedTable, sorting: SortingReport) -> StepReport:
    step = infer_step(sorting.rows)
    if step is None:
        raise DataError(
            f"{table.source.name} must have a series with at least two time stamps; its {table.source.table.num_rows:,} rows have one a "
            "series; if a series has several columns as its name, set data.id_columns to all of them"
        )
    return step


def _learned(store: SeriesStore, settings: ValidateDataSettings, context: StepContext) -> tuple[LearnedReport, ...]:
    """The store against what the champion was trained on; nothing where there is no champion, or nothing new."""
    repository = ModelRepository(context.home.models)
    champion = repository.role(settings.name, ModelRole.CHAMPION)
    folder = None if champion is None else repository.series_dir(settings.name, champion)
    if folder is None or not folder.is_dir():
        return ()
    return compare(read_series_store(folder), store, settings.validation.learned)


def _expectations(
    table: ParsedTable, profiles: Sequence[SeriesProfileReport], step_s: int, *,
    learned: Sequence[LearnedReport], settings: ValidateDataSettings, output: Path,
) -> "ExpectationsReport":  # fmt: skip
    """Run the suites: on rows as they were read, on the profile of every series, and the one learned."""
    # Imported here: it takes seconds, and whoever only wants the step's name should not pay them.
    from components.validation.expectations import ROW_SUITE, ExpectationsReport, row_checks, row_suite
    from components.validation.learned_checks import LEARNED_SUITE, learned_checks, learned_suite
    from components.validation.series_checks import SERIES_SUITE, series_checks, series_suite
    from components.validation.suites import run_suites

    docs = output / DATA_DOCS_DIR if settings.validation.data_docs else None
    rules = series_rules(settings, step_s)
    limits = settings.validation
    suites = [row_suite(table, settings), series_suite(profiles, rules)]
    suites += [learned_suite(learned, limits.learned)] if learned else []
    found = run_suites(settings.name, suites, docs=docs)
    rows = row_checks(found[ROW_SUITE], table, settings)
    series = series_checks(found[SERIES_SUITE], profiles, rules, table=table, settings=settings)
    drift = learned_checks(found[LEARNED_SUITE], learned, limits) if learned else ()
    return ExpectationsReport(rows.checks + series.checks + drift, series.broken + rows.broken)


def _report(
    table: ParsedTable, store: SeriesStore, checks: tuple[CheckRecord, ...], quarantine: QuarantineReport
) -> ValidationReport:
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
        quarantined=quarantine.records,
    )


def _summary(report: ValidationReport) -> str:
    size = f"{report.source}: {report.n_series:,} series, {report.n_steps:,} steps of {report.step_s} s up to {report.cutoff}"
    if report.passed:
        apart = f", {len(report.quarantined):,} in quarantine" if report.quarantined else ""
        warned = f", {len(report.warnings)} warning(s)" if report.warnings else ""
        return f"{size}, {len(report.checks)} checks passed{warned}{apart}"
    first = report.failures[0]
    more = f" (failed: {failed_names(report.checks)})" if len(report.failures) > 1 else ""
    return f"{report.source} is refused: {first.message}{more}"
