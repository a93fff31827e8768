"""The rules a table is validated by: their names, what each means when it is broken, and whom it is about."""

import difflib
from dataclasses import dataclass
from enum import StrEnum


class RuleSeverity(StrEnum):
    """What a broken rule means: the table is refused, the series is left out of training, or a person should look."""

    FAIL = "fail"
    QUARANTINE = "quarantine"
    WARN = "warn"


@dataclass(frozen=True)
class RuleSpec:
    """One rule: its severity unless `validation.severity` names another, and whether it judges series one by one."""

    severity: RuleSeverity
    by_series: bool = False


_FAIL = RuleSpec(RuleSeverity.FAIL)
_WARN = RuleSpec(RuleSeverity.WARN)
_FAIL_SERIES = RuleSpec(RuleSeverity.FAIL, by_series=True)
_QUARANTINE = RuleSpec(RuleSeverity.QUARANTINE, by_series=True)
_WARN_SERIES = RuleSpec(RuleSeverity.WARN, by_series=True)

RULES: dict[str, RuleSpec] = {
    # rows
    "columns": _FAIL,
    "types": _FAIL,
    "rows": _FAIL,
    "ranges": _FAIL_SERIES,
    "missing_covariate": _WARN_SERIES,
    # each series by itself
    "missing_target": _QUARANTINE,
    "regular_step": _QUARANTINE,
    "frequency": _QUARANTINE,
    "duplicates": _FAIL_SERIES,
    "order": _WARN_SERIES,
    "gaps": _WARN_SERIES,
    "gap_share": _WARN_SERIES,
    "stale_series": _QUARANTINE,
    "future_rows": _QUARANTINE,
    "short_history": _QUARANTINE,
    "constant_target": _QUARANTINE,
    "all_missing": _QUARANTINE,
    "level_shift": _WARN_SERIES,
    "unit_change": _QUARANTINE,
    "covariates_ahead": _WARN_SERIES,
    # the whole table
    "freshness": _FAIL,
    "history": _FAIL,
    "leak": _FAIL,
    "observed_copy": _WARN,
    # against what the champion was trained on
    "learned_range": _WARN,
    "learned_missing": _WARN,
    "learned_rows": _WARN,
    "learned_categories": _WARN,
    "drift_psi": _WARN,
    "drift_ks": _WARN,
}


def check_severities(severities: dict[str, RuleSeverity]) -> dict[str, RuleSeverity]:
    """The same severities, if each is of a rule that there is and that can have it.

    Raises:
        ValueError: A rule is unknown, the message names the nearest; or a rule of the whole table is to quarantine.
    """
    for name, severity in severities.items():
        if name not in RULES:
            nearest = difflib.get_close_matches(name, list(RULES), n=1, cutoff=0.0)[0]
            raise ValueError(f"severity names the unknown rule {name!r}; the nearest rule is {nearest!r}")
        if severity is RuleSeverity.QUARANTINE and not RULES[name].by_series:
            raise ValueError(f"the rule {name!r} is about the whole table; its severity must be fail or warn")
    return severities
