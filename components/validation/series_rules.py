"""The rules that judge series one by one: what each measures, its limit, and how a broken one is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.validation.report import iso_time
from components.validation.series_profile import SeriesProfileReport
from forecasting.config.root import ValidateDataSettings
from forecasting.durations import duration_s

Measure = Callable[[SeriesProfileReport], float]
Sentence = Callable[[SeriesProfileReport], str]


@dataclass(frozen=True)
class SeriesRuleSpec:
    """One rule.

    column: name of the measure in the profile. limit: largest measure that is accepted. sentence: says of a
    series that breaks the rule what is wrong with it.
    """

    rule: str
    column: str
    limit: float
    measure: Measure
    sentence: Sentence


def series_rules(settings: ValidateDataSettings, step_s: int) -> tuple[SeriesRuleSpec, ...]:
    """Every rule that the settings ask for; durations become steps or seconds."""
    limits, frequency_s = settings.validation, duration_s(settings.data.frequency)
    rules = [
        SeriesRuleSpec("regular_step", "rows_off_grid", 0, lambda p: p.rows.n_off_grid, _off_grid(step_s)),
        SeriesRuleSpec("frequency", "second_step_s", 0, lambda p: p.rows.second_step_s, _second_step(step_s)),
        SeriesRuleSpec("order", "rows_out_of_order", 0, lambda p: p.rows.n_descents, _out_of_order),
        SeriesRuleSpec("future_rows", "future_rows", 0, lambda p: p.rows.n_future_rows, _future),
        SeriesRuleSpec("all_missing", "is_all_missing", 0, lambda p: float(not p.steps.n_targets), _all_missing),
        SeriesRuleSpec(
            "missing_target", "missing_ratio", limits.max_missing_ratio,
            lambda p: p.steps.missing_ratio, _missing(limits.max_missing_ratio),
        ),
        SeriesRuleSpec(
            "gaps", "longest_gap_steps", duration_s(limits.max_gap) // frequency_s if limits.max_gap else 0,
            lambda p: p.steps.longest_gap, _gap,
        ),
        SeriesRuleSpec("gap_share", "gap_ratio", limits.max_gap_ratio, lambda p: p.steps.gap_ratio, _gap_share),
        SeriesRuleSpec("constant_target", "is_constant", 0, lambda p: float(p.steps.is_constant), _constant),
        SeriesRuleSpec(
            "level_shift", "level_shift", limits.max_level_shift, lambda p: p.steps.level.score, _level_shift
        ),
        SeriesRuleSpec("unit_change", "unit_changes", 0, lambda p: len(p.steps.units), _unit_change),
        SeriesRuleSpec(
            "covariates_ahead", "missing_ahead", 0, lambda p: p.steps.n_missing_ahead, _missing_ahead
        ),
    ]  # fmt: skip
    if limits.duplicates == "refuse":
        rules.append(SeriesRuleSpec(
            "duplicates", "differing_duplicates", 0, lambda p: p.rows.n_differing_duplicates, _duplicates
        ))  # fmt: skip
    if limits.max_series_age:
        rules.append(SeriesRuleSpec(
            "stale_series", "age_s", duration_s(limits.max_series_age), lambda p: p.steps.age_s, _stale
        ))  # fmt: skip
    if limits.min_history:
        # A shortfall, so that every rule has a largest value.
        needed = -(-duration_s(limits.min_history) // frequency_s)
        rules.append(SeriesRuleSpec(
            "short_history", "missing_history_steps", 0, lambda p: max(0, needed - p.steps.n_steps), _short(needed)
        ))  # fmt: skip
    return tuple(rules)


def measures(
    profiles: Sequence[SeriesProfileReport], rules: Sequence[SeriesRuleSpec]
) -> dict[str, list[float]]:  # fmt: skip
    """The profile as columns, one a rule, one value a series."""
    return {rule.column: [float(rule.measure(profile)) for profile in profiles] for rule in rules}


def _off_grid(step_s: int) -> Sentence:
    def say(profile: SeriesProfileReport) -> str:
        rows = profile.rows
        text = (
            f"rows must be {step_s} s apart; {rows.n_off_grid:,} of {rows.n_rows:,} are off this grid, the first is "
            f"{rows.first_off_grid_row}"
        )
        hint = "; a table of local dates needs data.time_zone: UTC" if step_s >= 86_400 and rows.is_naive else ""
        return text + hint

    return say


def _second_step(step_s: int) -> Sentence:
    def say(profile: SeriesProfileReport) -> str:
        return (
            f"the table must have one frequency; rows are usually {step_s} s apart, but {profile.rows.second_step_s} s from "
            f"{profile.rows.first_second_step_row} on; bring the table to one frequency first"
        )

    return say


def _out_of_order(profile: SeriesProfileReport) -> str:
    return (
        f"times must ascend; {profile.rows.n_descents:,} rows are earlier than the one before them, "
        f"the first is {profile.rows.first_descent_row}; rows were sorted"
    )


def _duplicates(profile: SeriesProfileReport) -> str:
    return (
        f"one row a time stamp; {profile.rows.n_differing_duplicates:,} rows repeat one with other values, "
        f"the first is {profile.rows.first_differing_row}; remove them, or set validation.duplicates to first, last or mean"
    )


def _future(profile: SeriesProfileReport) -> str:
    return (
        f"a target cannot be known before its time; {profile.rows.n_future_rows:,} rows are later than the begin of the run; "
        "a clock or a time zone is wrong"
    )


def _all_missing(profile: SeriesProfileReport) -> str:
    return f"there must be a target; all {profile.steps.n_steps:,} steps are without one"


def _missing(limit: float) -> Sentence:
    def say(profile: SeriesProfileReport) -> str:
        return f"{profile.steps.missing_ratio:.2%} of the steps are without a target; allowed is {limit:.2%}"

    return say


def _gap(profile: SeriesProfileReport) -> str:
    steps = profile.steps
    return (
        f"{steps.n_gap_steps:,} steps have no row; the longest gap is {steps.longest_gap} steps from "
        f"{iso_time(steps.gap_start)} on"
    )


def _gap_share(profile: SeriesProfileReport) -> str:
    return f"{profile.steps.gap_ratio:.2%} of the steps have no row"


def _constant(profile: SeriesProfileReport) -> str:
    return f"the target must change; all {profile.steps.n_targets:,} values are one"


def _level_shift(profile: SeriesProfileReport) -> str:
    level = profile.steps.level
    return (
        f"the level goes from {level.before:g} to {level.after:g} about {iso_time(profile.steps.shift_time)}, "
        f"{level.score:.1f} times its usual change from season to season"
    )


def _unit_change(profile: SeriesProfileReport) -> str:
    changes = [f"{one.column!r} from about {iso_time(one.time)} on: {one.change}" for one in profile.steps.units]
    return f"one unit a column; the unit changes in {', '.join(changes)}"


def _missing_ahead(profile: SeriesProfileReport) -> str:
    return f"known covariates must be complete over the horizon; {profile.steps.n_missing_ahead:,} values are missing"


def _stale(profile: SeriesProfileReport) -> str:
    return f"the last target is {profile.steps.age_s:,} s before the cutoff"


def _short(needed: int) -> Sentence:
    def say(profile: SeriesProfileReport) -> str:
        return f"the history has {profile.steps.n_steps:,} steps; needed are {needed:,}"

    return say
