"""What is missing from vintages for the forecasts that will be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.validation.assessing import SeriesRecord
from components.validation.report import BrokenRuleRecord, CheckRecord, Severity
from components.validation.vintages import VintageTable
from forecasting.config.root import ValidateDataSettings
from forecasting.config.validation import ValidationConfig
from forecasting.schema import SeriesSpec
from forecasting.vintages import NEVER, SeriesVintages


@dataclass(frozen=True)
class VintageProfileReport:
    """Vintages of one series before the cutoff.

    n_pairs: forecasts from every step, each of a horizon. n_missing: of these, those that a column lacks, by
    column. longest_lead_s: from the first issue to its time, 0 where nothing was issued. n_values,
    n_outside: values, and those outside of `validation.ranges`, by column.
    """

    series: str
    n_pairs: int
    n_missing: tuple[int, ...]
    longest_lead_s: int
    n_values: tuple[int, ...]
    n_outside: tuple[int, ...]


@dataclass(frozen=True)
class VintagesReport:
    """What was found in vintages, and which series break which rule."""

    checks: tuple[CheckRecord, ...] = ()
    broken: tuple[BrokenRuleRecord, ...] = ()


def judge_vintages(
    table: VintageTable | None, series: Sequence[SeriesRecord], spec: SeriesSpec, settings: ValidateDataSettings
) -> VintagesReport:
    """Judge the vintages of all series of a store; nothing where there are none.

    Args:
        table: All vintages.
        series: Extent of the series.
        spec: Of the store.
        settings: As configured: limits and horizon.
    """
    if table is None:
        return VintagesReport()
    horizon, limits = settings.forecast.horizon, settings.validation
    profiles = [profile_vintages(one, table.of(one.id), spec, horizon=horizon, limits=limits) for one in series]
    return VintagesReport(*vintage_checks(profiles, table, limits))


def profile_vintages(
    one: SeriesRecord, found: SeriesVintages, spec: SeriesSpec, *, horizon: int, limits: ValidationConfig
) -> VintageProfileReport:
    """Count what forecasts from every step of a series before the cutoff would lack."""
    stamps = one.start + spec.step_s * np.arange(one.n_before, dtype=np.int64)[:, None]
    first = found.first_issued(stamps[:, 0])
    # The earliest of the origins whose horizon holds a step: every one before the first issue lacks it.
    earliest = np.maximum(stamps - (horizon - 1) * spec.step_s, one.start)
    n_origins = (stamps - earliest) // spec.step_s + 1
    late = np.where(first == NEVER, stamps + spec.step_s, first) - earliest
    n_missing = np.clip(-(-late // spec.step_s), 0, n_origins).sum(axis=0)
    leads = np.where(first == NEVER, 0, stamps - first)
    bounds = [limits.ranges.get(name, (None, None)) for name in found.columns]
    outside = [
        (found.values[:, i] < (-np.inf if low is None else low))
        | (found.values[:, i] > (np.inf if high is None else high))
        for i, (low, high) in enumerate(bounds)
    ]
    return VintageProfileReport(
        series=one.id,
        n_pairs=int(n_origins.sum()),
        n_missing=tuple(int(n) for n in n_missing),
        longest_lead_s=int(leads.max(initial=0)),
        n_values=tuple(int(n) for n in np.count_nonzero(~np.isnan(found.values), axis=0)),
        n_outside=tuple(int(np.count_nonzero(places)) for places in outside),
    )


def vintage_checks(
    profiles: Sequence[VintageProfileReport], table: VintageTable, limits: ValidationConfig
) -> tuple[tuple[CheckRecord, ...], tuple[BrokenRuleRecord, ...]]:
    """A note on the table, and the rules `missing_covariate` and `ranges` on its columns."""
    notes = [f"{table.name}: {table.n_rows:,} rows of {table.n_issues:,} issues up to the cutoff"]
    if table.n_restated:
        notes.append(f"{table.n_restated:,} steps issued after their own time are not used")
    strangers = set() if table.is_shared else set(table.series) - {profile.series for profile in profiles}
    if strangers:
        notes.append(f"{len(strangers):,} series are not in the table of data.uri, the first is {min(strangers)!r}")
    found: list[tuple[CheckRecord, list[BrokenRuleRecord]]] = [
        (CheckRecord("vintages", True, Severity.NOTE, table.n_rows, None, "; ".join(notes)), [])
    ]
    for i, name in enumerate(table.columns):
        missing = {profile.series: (profile.n_missing[i], profile.n_pairs) for profile in profiles}
        lead = max(profile.longest_lead_s for profile in profiles)
        what = f"steps of forecasts have no {name!r} that was issued by then; the longest lead is {lead / 3_600:g} h"
        found.append(_judge("missing_covariate", name, missing, what, limits))
        if name in limits.ranges:
            outside = {profile.series: (profile.n_outside[i], profile.n_values[i]) for profile in profiles}
            low, high = limits.ranges[name]
            found.append(_judge("ranges", name, outside, f"values of {name!r} are not from {low} to {high}", limits))
    return tuple(check for check, _ in found), tuple(record for _, broken in found for record in broken)


def _judge(
    rule: str, column: str, counts: Mapping[str, tuple[int, int]], what: str, limits: ValidationConfig
) -> tuple[CheckRecord, list[BrokenRuleRecord]]:
    """One rule on one column: over all series together, or on each by itself where its severity is quarantine."""
    severity = Severity(limits.severity_of(rule).value)
    limit = limits.max_missing_ratio if rule == "missing_covariate" else limits.max_out_of_range_ratio
    n_bad, n_all = (sum(pair[k] for pair in counts.values()) for k in (0, 1))
    ratio = n_bad / max(n_all, 1)
    broken: list[BrokenRuleRecord] = []
    if severity is Severity.QUARANTINE:
        over = [(series, bad, of) for series, (bad, of) in counts.items() if bad > limit * max(of, 1)]
        broken = [BrokenRuleRecord(series, rule, f"vintages: {bad:,} of {of:,} {what}") for series, bad, of in over]
    passed = not broken if severity is Severity.QUARANTINE else ratio <= limit
    message = f"{n_bad:,} of {n_all:,} {what}, {ratio:.2%}; allowed is {limit:.2%}"
    series = tuple(record.series for record in broken)
    return CheckRecord(f"vintages({rule}, {column})", passed, severity, ratio, limit, message, rule, series), broken
