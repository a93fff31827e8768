"""Time-series checks. Each returns one `CheckRecord`; none of them stops the others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.validation.grid import StepReport
from components.validation.leaks import check_leaks, check_observed_copies
from components.validation.reading import ParsedTable, SortingReport
from components.validation.report import CheckRecord, Severity, iso_time
from components.validation.storing import StoreReport
from forecasting.config.derived import derived_terms
from forecasting.config.root import ValidateDataSettings
from forecasting.config.sections import DataConfig, ValidationConfig
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.features.spec import history_length
from forecasting.schema import Series, SeriesSpec


def all_checks(
    table: ParsedTable, sorting: SortingReport, *, step: StepReport, made: StoreReport, settings: ValidateDataSettings,
    cutoff: int | None, created: float | None,
) -> tuple[CheckRecord, ...]:  # fmt: skip
    """Every time-series check, in the order in which a person would look."""
    limits = settings.validation
    return (
        check_source(table, made, settings.data),
        check_duplicates(table, sorting, limits),
        check_order(table, sorting),
        check_step(table, sorting, step),
        check_frequency(table, sorting, step),
        check_gaps(made),
        check_missing(made, limits),
        check_freshness(made, limits, cutoff=cutoff, created=created),
        check_constant(made),
        check_history(made, settings),
        check_leaks(made, limits, settings.forecast),
        check_observed_copies(made, limits),
    )


def check_source(table: ParsedTable, made: StoreReport, data: DataConfig) -> CheckRecord:
    """What reading the table decided without being told in every detail; a note, it always passes."""
    notes = [f"{table.source.table.num_rows:,} rows, {len(made.store.series):,} series"]
    if table.source.unused_columns:
        notes.append(f"columns not used: {', '.join(table.source.unused_columns)}")
    if table.times.n_naive:
        notes.append(f"times without a zone are read as {data.time_zone}")
    if made.n_partial_buckets:
        notes.append(f"{made.n_partial_buckets} partial step(s) of {data.frequency} at the ends of series left out")
    if made.left_out:
        notes.append(
            f"{len(made.left_out)} series have no whole step before the cutoff and are left out, the first is {made.left_out[0]!r}"
        )
    if n_censored := sum(int(censored.sum()) for censored in made.censored):
        notes.append(f"{n_censored:,} targets hidden where {data.censored_by!r} is not zero")
    return CheckRecord("source", True, Severity.NOTE, table.source.table.num_rows, None, "; ".join(notes))


def check_duplicates(table: ParsedTable, sorting: SortingReport, limits: ValidationConfig) -> CheckRecord:
    """Rows that repeat series and time of an earlier row; the earlier row is kept."""
    n_rows, n_found = table.source.table.num_rows, len(sorting.duplicates)
    ratio = n_found / n_rows
    message = "no time stamp occurs twice in a series"
    if n_found:
        row = int(sorting.duplicates[0])
        message = (
            f"{n_found:,} of {n_rows:,} rows repeat a time stamp of their series, {sorting.n_differing:,} with other values; the first is "
            f"{table.source.row_name(row)}: series {_series_name(table, row)!r} at {iso_time(table.times.seconds[row])}; "
            f"allowed is a share of {limits.max_duplicate_ratio:g}; the first row of each is kept"
        )
    return CheckRecord(
        "duplicates", ratio <= limits.max_duplicate_ratio, Severity.ERROR, ratio, limits.max_duplicate_ratio, message
    )


def check_order(table: ParsedTable, sorting: SortingReport) -> CheckRecord:
    """Times ascend within each series; where not, rows are sorted and a person is told."""
    n_found = len(sorting.descents)
    message = "times ascend in every series"
    if n_found:
        row = int(sorting.descents[0])
        message = (
            f"times of a series must ascend; {n_found:,} rows are earlier than the one before them, the first is "
            f"{table.source.row_name(row)}: series {_series_name(table, row)!r} at {iso_time(table.times.seconds[row])}; rows were sorted"
        )
    return CheckRecord("order", not n_found, Severity.WARNING, n_found, 0, message)


def check_step(table: ParsedTable, sorting: SortingReport, step: StepReport) -> CheckRecord:
    """Every row is a whole number of steps away from the others."""
    n_found = len(step.off_grid)
    message = f"every row is on the grid of {step.step_s} s"
    if n_found:
        row = int(sorting.rows.source_rows[step.off_grid[0]])
        message = (
            f"rows must be {step.step_s} s apart; {n_found:,} of {len(sorting.rows.times):,} are off this grid, the first is "
            f"{table.source.row_name(row)}: series {_series_name(table, row)!r} at {iso_time(table.times.seconds[row])}"
        )
        if step.step_s >= 86_400 and table.times.n_naive:
            message += "; a table of local dates needs data.time_zone: UTC"
    return CheckRecord("regular_step", not n_found, Severity.ERROR, n_found, 0, message)


def check_frequency(table: ParsedTable, sorting: SortingReport, step: StepReport) -> CheckRecord:
    """One frequency in the whole table: not hours in one part and days in another."""
    message = f"the table has one frequency, {step.step_s} s"
    if step.second_step_s is not None and step.second_step_row is not None:
        row = int(sorting.rows.source_rows[step.second_step_row])
        message = (
            f"the table must have one frequency; rows are usually {step.step_s} s apart, but {step.second_step_s} s from "
            f"{table.source.row_name(row)} on: series {_series_name(table, row)!r} at {iso_time(table.times.seconds[row])}; "
            "bring the table to one frequency first"
        )
    return CheckRecord(
        "frequency", step.second_step_s is None, Severity.ERROR, step.second_step_s or step.step_s, step.step_s, message
    )


def check_gaps(made: StoreReport) -> CheckRecord:
    """Steps without any value, as runs; a person is told the longest."""
    n_steps, longest = 0, (0, "", 0)
    for series in made.store:
        empty = np.all(np.isnan(series.values[: _n_before_cutoff(series, made.store.spec)]), axis=1)
        start, length = _longest_run(empty)
        n_steps += int(empty.sum())
        longest = max(longest, (length, series.id, series.start + start * made.store.spec.step_s))
    length, name, time = longest
    message = "no gaps"
    if length:
        message = f"{n_steps:,} steps have no row; the longest gap is {length} steps in series {name!r} from {iso_time(time)} on"
    return CheckRecord("gaps", not length, Severity.WARNING, n_steps, 0, message)


def check_missing(made: StoreReport, limits: ValidationConfig) -> CheckRecord:
    """Share of steps without a target in the worst series; hidden (censored) steps do not count."""
    found = [
        _missing_ratio(one, censored, made.store.spec) for one, censored in zip(made.store, made.censored, strict=True)
    ]
    worst = int(np.argmax(found))
    n_bad = int(np.count_nonzero(np.array(found) > limits.max_missing_ratio))
    message = (
        f"the largest share of steps without a target is {found[worst]:.2%}, in series {made.store.series[worst].id!r}; allowed is "
        f"{limits.max_missing_ratio:.2%}"
    )
    if n_bad:
        message += f", which {n_bad:,} series exceed(s)"
    return CheckRecord("missing_target", not n_bad, Severity.ERROR, found[worst], limits.max_missing_ratio, message)


def check_freshness(
    made: StoreReport, limits: ValidationConfig, *, cutoff: int | None, created: float | None
) -> CheckRecord:
    """Age of the last target at the cutoff that was asked for, else when the run was begun.

    What a check that passed says does not hang on when the run was begun, so that a table that did not
    change gives the same output in every run that finds it fresh enough.

    Raises:
        ConfigError: There is a limit, and neither a cutoff nor the time when the run was begun.
    """
    last = made.store.spec.split.cutoff
    message = f"the last target ends at {iso_time(last)}"
    if limits.max_age is None:
        return CheckRecord("freshness", True, Severity.ERROR, iso_time(last), None, f"{message}; any age is allowed")
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
    return CheckRecord("freshness", passed, Severity.ERROR, iso_time(last), limits.max_age, message)


def check_constant(made: StoreReport) -> CheckRecord:
    """A constant target teaches nothing: an error where every series is one, else a warning."""
    constant = [one.id for one in made.store if _is_constant(one.values[:, 0])]
    everywhere = len(constant) == len(made.store.series)
    message = "no series has a constant target"
    if constant:
        message = f"the target must change; it is constant in {len(constant):,} of {len(made.store.series):,} series, such as {constant[0]!r}"
    severity = Severity.ERROR if everywhere or not constant else Severity.WARNING
    return CheckRecord("constant_target", not constant, severity, len(constant), 0, message)


def check_history(made: StoreReport, settings: ValidateDataSettings) -> CheckRecord:
    """At least one series must hold one training window and the validation and test periods."""
    spec, split = made.store.spec, made.store.spec.split
    derived = derived_terms(settings.features.derived, spec.target)
    length, horizon = history_length(settings.forecast.context, derived), settings.forecast.horizon
    n_held_out = (split.cutoff - split.train_end) // spec.step_s
    n_validation = (split.validation_end - split.train_end) // spec.step_s
    needed = length + horizon + n_held_out
    found = max(_n_before_cutoff(series, spec) for series in made.store)
    message = (
        f"the longest series has {found:,} steps of {settings.data.frequency} before the cutoff; needed are {needed:,}: history {length:,} "
        f"(context and what features look back), horizon {horizon:,}, validation {n_validation:,}, test {n_held_out - n_validation:,}"
    )
    if found < needed:
        message += "; bring more rows, or shorten forecast.context, the windows of features.derived or the split"
    return CheckRecord("history", found >= needed, Severity.ERROR, found, needed, message)


def _series_name(table: ParsedTable, row: int) -> str:
    return table.ids.names[table.ids.codes[row]]


def _n_before_cutoff(series: Series, spec: SeriesSpec) -> int:
    return min((spec.split.cutoff - series.start) // spec.step_s, series.n_steps)


def _missing_ratio(series: Series, censored: npt.NDArray[np.bool_], spec: SeriesSpec) -> float:
    missing = np.isnan(series.values[: _n_before_cutoff(series, spec), 0])
    return float(np.mean(missing & ~censored[: len(missing)]))


def _is_constant(target: npt.NDArray[np.float64]) -> bool:
    found = target[~np.isnan(target)]
    return not len(found) or bool(found.min() == found.max())


def _longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Start and length of the longest run of True; length 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    best = int(np.argmax(lengths))
    return int(edges[2 * best]), int(lengths[best])


def failed_names(checks: Sequence[CheckRecord]) -> str:
    """Names of the failed checks that refuse the table, for a summary."""
    return ", ".join(check.name for check in checks if not check.passed and check.severity is Severity.ERROR)
