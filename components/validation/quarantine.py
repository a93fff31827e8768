"""Quarantine: series that break a rule of that severity are left out of training, and the run goes on without them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.validation.report import BrokenRuleRecord, CheckRecord, QuarantineRecord, Severity
from components.validation.storing import StoreReport
from forecasting.config.validation import ValidationConfig
from forecasting.schema import SeriesStore


@dataclass(frozen=True)
class QuarantineReport:
    """Series in quarantine, and whether they are few enough for the run to go on."""

    records: tuple[QuarantineRecord, ...]
    check: CheckRecord

    @property
    def names(self) -> frozenset[str]:
        """Ids of the series."""
        return frozenset(record.series for record in self.records)

    def apart(self, n_series: int) -> frozenset[str]:
        """Ids to be kept apart; none where they are so many of `n_series` that the table is refused as it is."""
        names = self.names
        return names if self.check.passed and len(names) < n_series else frozenset()


@dataclass(frozen=True)
class PartingReport:
    """What is trained on, and what is kept apart; none where nothing is."""

    made: StoreReport
    apart: SeriesStore | None


def judge_quarantine(
    broken: Sequence[BrokenRuleRecord], *, ids: Sequence[str], limits: ValidationConfig
) -> QuarantineReport:
    """Gather the series that break a rule of severity quarantine.

    Args:
        broken: Which series breaks which rule.
        ids: All series of the store.
        limits: Severities and the largest share in quarantine.
    """
    reasons: dict[str, list[BrokenRuleRecord]] = {}
    known = frozenset(ids)
    for record in broken:
        if limits.severity_of(record.rule).value == Severity.QUARANTINE.value and record.series in known:
            reasons.setdefault(record.series, []).append(record)
    records = tuple(
        QuarantineRecord(name, tuple(dict.fromkeys(one.rule for one in found)), found[0].reason)
        for name, found in sorted(reasons.items())
    )
    ratio, limit = len(records) / len(ids), limits.max_quarantined_ratio
    message = "no series is in quarantine"
    if records:
        message = (
            f"{len(records):,} of {len(ids):,} series are in quarantine, {ratio:.2%}; allowed is {limit:.2%}; "
            f"the first is {records[0].series!r}: {records[0].reason}"
        )
    return QuarantineReport(records, CheckRecord("quarantined", ratio <= limit, Severity.FAIL, ratio, limit, message))


def part(made: StoreReport, report: QuarantineReport) -> PartingReport:
    """Take the series in quarantine out of the store, unless they are so many that the table is refused as it is."""
    names = report.apart(len(made.store.series))
    if not names:
        return PartingReport(made, None)
    kept = [i for i, series in enumerate(made.store.series) if series.id not in names]
    return PartingReport(
        replace(
            made,
            store=SeriesStore(made.store.spec, tuple(made.store.series[i] for i in kept)),
            hidden=tuple(made.hidden[i] for i in kept),
            censored=tuple(made.censored[i] for i in kept),
        ),
        SeriesStore(made.store.spec, tuple(series for series in made.store if series.id in names)),
    )
