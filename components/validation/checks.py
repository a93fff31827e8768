"""Checks of the whole table. Each returns one `CheckRecord`; none of them stops the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.validation.leaks import LeaksReport, check_leaks, check_observed_copies, find_leaks
from components.validation.reading import ParsedTable, SortingReport
from components.validation.report import CheckRecord, Severity, iso_time
from components.validation.storing import StoreReport
from forecasting.config.derived import derived_terms
from forecasting.config.root import ValidateDataSettings
from forecasting.config.table import DataConfig
from forecasting.config.validation import ValidationConfig
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.features.spec import history_length
from forecasting.schema import Series, SeriesSpec


@dataclass(frozen=True)
class TableReport:
    """What the checks of the whole table judge.

    n_rows: in the source, up to the last target. n_equal, n_differing: rows that repeat series and time of another.
    n_partial_buckets, left_out: as of `StoreReport`. n_series, n_censored, longest, leaks: of what is trained on;
    longest: steps before the cutoff of the longest series.
    """

    n_rows: int
    unused_columns: tuple[str, ...]
    is_naive: bool
    n_equal: int
    n_differing: int
    n_partial_buckets: int
    left_out: tuple[str, ...]
    spec: SeriesSpec
    n_series: int
    n_censored: int
    longest: int
    leaks: LeaksReport


def describe_table(
    table: ParsedTable, sorting: SortingReport, *, made: StoreReport, settings: ValidateDataSettings
) -> TableReport:
    """What there is to judge of a table that is in memory as a whole."""
    store, limit = made.store, settings.validation.max_leak_correlation
    return TableReport(
        n_rows=table.n_rows,
        unused_columns=table.source.unused_columns,
        is_naive=table.times.n_naive > 0,
        n_equal=len(sorting.equal),
        n_differing=len(sorting.differing),
        n_partial_buckets=made.n_partial_buckets,
        left_out=made.left_out,
        spec=store.spec,
        n_series=len(store.series),
        n_censored=sum(int(censored.sum()) for censored in made.censored),
        longest=max(n_before_cutoff(series, store.spec) for series in store),
        leaks=find_leaks(store, store.spec, settings.forecast, limit),
    )


def table_checks(
    found: TableReport, settings: ValidateDataSettings, *, cutoff: int | None, created: float | None
) -> tuple[CheckRecord, ...]:
    """Checks of the whole table, in the order in which a person would look."""
    limits = settings.validation
    return (
        check_source(found, settings.data),
        note_duplicates(found, limits),
        check_freshness(found.spec, limits, cutoff=cutoff, created=created),
        check_history(found, settings),
        check_leaks(found.leaks, limits),
        check_observed_copies(found.leaks, limits),
    )


def check_source(found: TableReport, data: DataConfig) -> CheckRecord:
    """What reading the table decided without being told in every detail; a note, it always passes."""
    notes = [f"{found.n_rows:,} rows, {found.n_series:,} series"]
    if found.unused_columns:
        notes.append(f"columns not used: {', '.join(found.unused_columns)}")
    if found.is_naive:
        notes.append(f"times without a zone are read as {data.time_zone}")
    if found.n_partial_buckets:
        notes.append(f"{found.n_partial_buckets} partial step(s) of {data.frequency} at the ends of series left out")
    if found.left_out:
        notes.append(
            f"{len(found.left_out)} series have no whole step before the cutoff and are left out, the first is {found.left_out[0]!r}"
        )
    if found.n_censored:
        notes.append(f"{found.n_censored:,} targets hidden where {data.censored_by!r} is not zero")
    return CheckRecord("source", True, Severity.NOTE, found.n_rows, None, "; ".join(notes))


def note_duplicates(found: TableReport, limits: ValidationConfig) -> CheckRecord:
    """What became of rows that repeat series and time; the rule `duplicates` judges those that differ."""
    n_repeats = found.n_equal + found.n_differing
    message = f"{found.n_equal:,} of {found.n_rows:,} rows repeat another and were dropped"
    if found.n_differing:
        kept = "the first is kept" if limits.duplicates == "refuse" else f"kept is the {limits.duplicates}"
        message += f"; {found.n_differing:,} repeat series and time of another with other values, {kept}"
    return CheckRecord("dropped_rows", True, Severity.NOTE, n_repeats, None, message)


def note_imputed(n_filled: Mapping[str, int]) -> tuple[CheckRecord, ...]:
    """How many values of each covariate were filled, where a policy is stated."""
    if not n_filled:
        return ()
    counts = ", ".join(f"{count:,} of {name!r}" for name, count in n_filled.items())
    message = f"values filled by validation.imputation: {counts}"
    return (CheckRecord("imputed_values", True, Severity.NOTE, sum(n_filled.values()), None, message),)


def check_freshness(
    spec: SeriesSpec, limits: ValidationConfig, *, cutoff: int | None, created: float | None
) -> CheckRecord:
    """Age of the last target at the cutoff that was asked for, else when the run was begun.

    What a check that passed says does not hang on when the run was begun, so that a table that did not
    change gives the same output in every run that finds it fresh enough.

    Raises:
        ConfigError: There is a limit, and neither a cutoff nor the time when the run was begun.
    """
    severity = Severity(limits.severity_of("freshness").value)
    last = spec.split.cutoff
    message = f"the last target ends at {iso_time(last)}"
    if limits.max_age is None:
        return CheckRecord(
            "freshness", True, severity, iso_time(last), None, f"{message}; any age is allowed", "freshness"
        )
    judged_at = created if cutoff is None else cutoff
    if judged_at is None:
        raise ConfigError("validation.max_age needs a cutoff, or a run that says when it was begun")
    passed = judged_at - last <= duration_s(limits.max_age)
    message += (
        f"; with validation.max_age {limits.max_age} it may be used until {iso_time(last + duration_s(limits.max_age))}"
    )
    if not passed:
        event = "the run was begun at" if cutoff is None else "the cutoff is"
        message += f", and {event} {iso_time(int(judged_at))}; bring later rows or raise validation.max_age"
    return CheckRecord("freshness", passed, severity, iso_time(last), limits.max_age, message, "freshness")


def check_history(report: TableReport, settings: ValidateDataSettings) -> CheckRecord:
    """At least one series must hold one training window and the validation and test periods."""
    spec, split, found = report.spec, report.spec.split, report.longest
    derived = derived_terms(settings.features.derived, spec.target)
    length, horizon = history_length(settings.forecast.context, derived), settings.forecast.horizon
    n_held_out = (split.cutoff - split.train_end) // spec.step_s
    n_validation = (split.validation_end - split.train_end) // spec.step_s
    needed = length + horizon + n_held_out
    message = (
        f"the longest series has {found:,} steps of {settings.data.frequency} before the cutoff; needed are {needed:,}: history {length:,} "
        f"(context and what features look back), horizon {horizon:,}, validation {n_validation:,}, test {n_held_out - n_validation:,}"
    )
    if found < needed:
        message += "; bring more rows, or shorten forecast.context, the windows of features.derived or the split"
    severity = Severity(settings.validation.severity_of("history").value)
    return CheckRecord("history", found >= needed, severity, found, needed, message, "history")


def n_before_cutoff(series: Series, spec: SeriesSpec) -> int:
    """Steps of a series before the cutoff."""
    return min((spec.split.cutoff - series.start) // spec.step_s, series.n_steps)


def failed_names(checks: Sequence[CheckRecord]) -> str:
    """Names of the failed checks that refuse the table, for a summary."""
    return ", ".join(check.name for check in checks if not check.passed and check.severity is Severity.FAIL)
