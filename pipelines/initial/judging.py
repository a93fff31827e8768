"""Judge a table by the rules that validate_data will apply to it, without the packages that it takes to show them."""

from dataclasses import dataclass, replace

from components.validation.checks import describe_table, table_checks
from components.validation.quarantine import QuarantineReport, judge_quarantine, part
from components.validation.report import BrokenRuleRecord, Severity
from components.validation.series_profile import profile_series
from components.validation.series_rules import series_rules
from forecasting.config.root import ValidateDataSettings
from pipelines.initial.facts import TableFacts


@dataclass(frozen=True)
class JudgementReport:
    """Why the table would be refused, a sentence each, and which series would be left out of training."""

    failures: tuple[str, ...]
    quarantine: QuarantineReport


def judge(facts: TableFacts, settings: ValidateDataSettings, *, created: float | None) -> JudgementReport:
    """Apply the rules on series and on the whole table.

    Args:
        facts: The table with all of its series.
        settings: Of the proposal.
        created: When the run would begin, epoch seconds; none: no row is of the future.
    """
    limits, broken, failures = settings.validation, [], []
    profiles = profile_series(
        facts.table, facts.sorting, step=facts.step, made=facts.made, settings=settings, created=created
    )
    for rule in series_rules(settings, facts.step.step_s):
        bad = [profile for profile in profiles if rule.measure(profile) > rule.limit]
        found = [BrokenRuleRecord(one.series, rule.rule, f"{rule.rule}: {rule.sentence(one)}") for one in bad]  # fmt: skip
        broken += found
        if found and limits.severity_of(rule.rule).value == Severity.FAIL.value:
            failures.append(f"series {found[0].series!r}: {found[0].reason}")
    ids = tuple(series.id for series in facts.store)
    quarantine = judge_quarantine(broken, ids=ids, limits=limits)
    if not quarantine.check.passed:
        failures.append(quarantine.check.message)
    kept = without(facts, quarantine)
    described = describe_table(kept.table, kept.sorting, made=kept.made, settings=settings)
    checks = table_checks(described, settings, cutoff=None, created=created)
    failures += [check.message for check in checks if not check.passed and check.severity is Severity.FAIL]
    return JudgementReport(tuple(failures), quarantine)


def without(facts: TableFacts, quarantine: QuarantineReport) -> TableFacts:
    """The table without the series in quarantine: what is trained on and judged."""
    return replace(facts, made=part(facts.made, quarantine).made)
