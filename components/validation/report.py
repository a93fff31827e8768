"""What validation found: single checks and their sum."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """What a check that did not pass means.

    FAIL: the table is refused. QUARANTINE: the series it names are left out of training. WARN: a person
    should look. NOTE: a fact to know.
    """

    FAIL = "fail"
    QUARANTINE = "quarantine"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True)
class CheckRecord:
    """One check: what was found against what is allowed, and a sentence for a person.

    rule: its name in `validation.severity`; empty where the check has no severity to set. series: ids
    of the series that break it, where it judges series one by one.
    """

    name: str
    passed: bool
    severity: Severity
    found: float | int | str | None
    limit: float | int | str | None
    message: str
    rule: str = ""
    series: tuple[str, ...] = ()


@dataclass(frozen=True)
class BrokenRuleRecord:
    """A series that breaks a rule, and how."""

    series: str
    rule: str
    reason: str


@dataclass(frozen=True)
class QuarantineRecord:
    """One series that is left out of training: the rules it breaks, and the first of them in words."""

    series: str
    rules: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class ValidationReport:
    """Contents of report.json of validate_data.

    passed: no check of severity fail failed. n_series, n_steps: of the series store, without what is in
    quarantine. unused_columns: in the source, not in the configuration. start, cutoff: of the series store,
    ISO 8601 in UTC.
    """

    passed: bool
    source: str
    n_rows: int
    n_series: int
    n_steps: int
    step_s: int
    start: str
    cutoff: str
    unused_columns: tuple[str, ...]
    checks: tuple[CheckRecord, ...]
    quarantined: tuple[QuarantineRecord, ...] = ()

    @property
    def failures(self) -> tuple[CheckRecord, ...]:
        """Failed checks that refuse the table."""
        return tuple(check for check in self.checks if not check.passed and check.severity is Severity.FAIL)

    @property
    def warnings(self) -> tuple[CheckRecord, ...]:
        """Failed checks that a person should look at."""
        return tuple(check for check in self.checks if not check.passed and check.severity is Severity.WARN)


def all_passed(checks: Sequence[CheckRecord]) -> bool:
    """Whether no check of severity fail failed."""
    return all(check.passed or check.severity is not Severity.FAIL for check in checks)


def write_report(report: ValidationReport, path: Path) -> None:
    """Write a report as JSON."""
    path.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False), encoding="utf-8")


def iso_time(seconds: int) -> str:
    """UTC epoch seconds as ISO 8601, such as `2014-01-31T13:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
