"""The step validate_data: read any table, check it, write it as a series store.

A table that cannot be read as series is an error of one line. A table that can be read and is bad
is a result: the store, the report and the Data Docs are written and say what failed.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.validation.assessing import AssessmentReport, CutTable, assess
from components.validation.checks import TableReport, failed_names, note_imputed, table_checks
from components.validation.exclusions import check_exclusions, find_exclusions
from components.validation.finishing import StoredReport, write_stores
from components.validation.learned import LearnedReport, compare
from components.validation.observed_overlay import ObservedOverlay, known_by_of, observed_overlay
from components.validation.page import PAGE_FILE, validation_page
from components.validation.parts import TableParts
from components.validation.profile import profile_store
from components.validation.quarantine import QuarantineReport, judge_quarantine
from components.validation.report import CheckRecord, ValidationReport, all_passed, iso_time, write_report
from components.validation.scanning import scan
from components.validation.series_rules import series_rules
from components.validation.sources import find_source
from components.validation.storing import store_spec
from components.validation.surveying import GridShelf, SurveyReport, survey
from components.validation.vintage_checks import VintagesReport, judge_vintages
from components.validation.vintages import GridSpec, read_vintages, spec_with_vintages, without_vintages
from forecasting.config.root import StepSettings, ValidateDataSettings
from forecasting.contracts.artifacts import DATA_DOCS_DIR, PROFILE_FILE, REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from forecasting.repository import ModelRepository
from forecasting.series_store import SeriesReader
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
    # In the output, which is temporary until the step has ended: nothing of a run that was killed is in the way of another.
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=output) as scratch:
        surveyed = _read(settings, context, cutoff, Path(scratch))
        report = _judge(surveyed, context, cutoff, output)
    (output / PROFILE_FILE).write_text(json.dumps(asdict(profile_store(output)), indent=1), encoding="utf-8")
    write_report(report, output / REPORT_FILE)
    _log(report)
    # What is of the future now will not be for a later run.
    is_lasting = not any(check.rule == "future_rows" and not check.passed for check in report.checks)
    return StepOutcome(report.passed, _summary(report), reusable=is_lasting)


@dataclass(frozen=True)
class _Surveyed:
    """A table that was read and sorted: its parts, what sorting found, its series and their profiles."""

    parts: TableParts
    survey: SurveyReport
    table: CutTable
    assessment: AssessmentReport
    vintages: VintagesReport
    scratch: Path


def _read(settings: ValidateDataSettings, context: StepContext, cutoff: int | None, scratch: Path) -> _Surveyed:
    """Read, sort, lay on the grid and profile; everything that does not fit in memory goes to scratch files."""
    known_by = known_by_of(settings.observations, settings.data, cutoff)
    with observed_overlay(settings.observations, settings.name, context.home, known_by=known_by) as overlay:
        return _read_with(overlay, settings, context, cutoff, scratch)


def _read_with(
    overlay: ObservedOverlay | None,
    settings: ValidateDataSettings,
    context: StepContext,
    cutoff: int | None,
    scratch: Path,
) -> _Surveyed:
    asked, settings = settings, without_vintages(settings)
    source = find_source(settings.data, context.home)
    n_rows = settings.validation.part_rows
    exclusions = find_exclusions(settings.data, context.home)
    last = None if overlay is None else overlay.last_target(settings.data.target, cutoff=cutoff)
    read = scan(source, settings, cutoff=cutoff, folder=scratch, n_in_memory=n_rows, observed_last=last)
    # From here on the roles are those of the columns that the table has become.
    settings = read.settings
    parts = TableParts(read, folder=scratch, n_rows=n_rows)
    shelf = GridShelf(scratch, len(parts))
    found = survey(parts, shelf, settings=settings, cutoff=cutoff, created=context.created, overlay=overlay)
    if overlay is not None:
        if overlay.n_values:
            logger.info("%d values that were observed are laid over the table", overlay.n_values)
        overlay.log_left_out(parts.names, settings.data)
    spec = store_spec(
        found.spans, read.static, step=found.step, settings=settings, cutoff=cutoff, source=source.name,
        first_time=found.first_time,
    )  # fmt: skip
    issued = None
    if asked.data.vintages is not None:
        grid = GridSpec(spec.step_s, spec.split.cutoff % spec.step_s, spec.split.cutoff, settings.forecast.horizon)
        issued = read_vintages(asked, context.home, grid)
        spec = spec_with_vintages(spec, issued.columns)
    table = CutTable(shelf, spec, found.step, settings, exclusions, issued)
    assessment = assess(table, parts.names, found.rows)
    return _Surveyed(parts, found, table, assessment, judge_vintages(issued, assessment.series, spec, asked), scratch)


def _judge(read: _Surveyed, context: StepContext, cutoff: int | None, output: Path) -> ValidationReport:
    """Apply all rules, put series in quarantine, and write the stores and the page."""
    settings, table = read.table.settings, read.table
    limits, ids = settings.validation, tuple(record.id for record in read.assessment.series)
    found = _expectations(read, _learned(table, context, read.scratch), output)
    quarantine = judge_quarantine((*found.broken, *read.vintages.broken), ids=ids, limits=limits)
    stored = write_stores(table, read.assessment, quarantine.apart(len(ids)), output)
    checks = (
        *table_checks(_table_report(read, stored), settings, cutoff=cutoff, created=context.created),
        *((check_exclusions(table.exclusions, stored.n_hidden),) if table.exclusions else ()),
        *read.vintages.checks,
        *found.checks,
        quarantine.check,
        *note_imputed(stored.n_filled),
    )
    report = _report(read, stored, checks, quarantine)
    page = validation_page(report, stored.figures, has_docs=limits.data_docs)
    (output / PAGE_FILE).write_text(page, encoding="utf-8")
    return report


def _log(report: ValidationReport) -> None:
    for check in report.warnings:
        logger.warning("%s: %s", check.name, check.message)
    for record in report.quarantined:
        # An id may hold a line break, with which a table would write lines of its own.
        logger.warning("series %r is in quarantine: %s", record.series, record.reason)
    logger.info(
        "%d series, %d steps up to %s; passed: %s", report.n_series, report.n_steps, report.cutoff, report.passed
    )


def _learned(table: CutTable, context: StepContext, scratch: Path) -> tuple[LearnedReport, ...]:
    """The store against what the champion was trained on; nothing where there is no champion, or nothing new."""
    name, repository = table.settings.name, ModelRepository(context.home.models)
    champion = repository.role(name, ModelRole.CHAMPION)
    folder = None if champion is None else repository.series_dir(name, champion)
    if folder is None or not folder.is_dir():
        return ()
    return compare(SeriesReader(folder), table, table.settings.validation.learned, scratch)


def _expectations(read: _Surveyed, learned: tuple[LearnedReport, ...], output: Path) -> "ExpectationsReport":
    """Run the suites: on rows as they were read, on the profile of every series, and the one learned."""
    # Imported here: it takes seconds, and whoever only wants the step's name should not pay them.
    from components.validation.expectations import ROW_SUITE, ExpectationsReport, row_checks, row_suite
    from components.validation.learned_checks import LEARNED_SUITE, learned_checks, learned_suite
    from components.validation.series_checks import SERIES_SUITE, series_checks, series_suite
    from components.validation.suites import run_suites

    settings, profiles = read.table.settings, read.assessment.profiles
    limits = settings.validation
    docs = output / DATA_DOCS_DIR if limits.data_docs else None
    rules = series_rules(settings, read.survey.step.step_s)
    suites = [row_suite(read.parts, settings), series_suite(profiles, rules)]
    suites += [learned_suite(learned, limits.learned)] if learned else []
    found = run_suites(settings.name, suites, docs=docs)
    rows = row_checks(found[ROW_SUITE], read.survey.broken, read.parts.found.source.places, settings)
    series = series_checks(found[SERIES_SUITE], profiles, rules, settings=settings)
    drift = learned_checks(found[LEARNED_SUITE], learned, limits) if learned else ()
    return ExpectationsReport(rows.checks + series.checks + drift, series.broken + rows.broken)


def _table_report(read: _Surveyed, stored: StoredReport) -> TableReport:
    return TableReport(
        n_rows=read.survey.n_rows,
        unused_columns=read.parts.found.source.unused_columns,
        is_naive=read.parts.found.is_naive,
        n_equal=read.survey.n_equal,
        n_differing=read.survey.n_differing,
        n_partial_buckets=read.assessment.n_partial_buckets,
        left_out=read.assessment.left_out,
        spec=read.table.spec,
        n_series=stored.n_series,
        n_censored=stored.n_censored,
        longest=stored.longest,
        leaks=stored.leaks,
    )


def _report(
    read: _Surveyed, stored: StoredReport, checks: tuple[CheckRecord, ...], quarantine: QuarantineReport
) -> ValidationReport:
    source = read.parts.found.source
    return ValidationReport(
        passed=all_passed(checks),
        source=source.short_name,
        n_rows=read.survey.n_rows,
        n_series=stored.n_series,
        n_steps=stored.n_steps,
        step_s=stored.spec.step_s,
        start=iso_time(stored.start),
        cutoff=iso_time(stored.spec.split.cutoff),
        unused_columns=source.unused_columns,
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
