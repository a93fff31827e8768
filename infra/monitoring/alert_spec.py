"""What an alert is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """Who hears of it. CRITICAL: whoever is on duty, now. WARNING: the team, in working hours. NONE: nobody; a heartbeat."""

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"


@dataclass(frozen=True)
class AlertSpec:
    """One alerting rule.

    for_s: how long the expression must hold, seconds; 0, which the rule says too, where what happened once is enough, or was looked at over a window already. labels: further ones that are fixed; `retrain` sends an alert
    to the gateway as a reason to train again.
    """

    name: str
    severity: Severity
    expr: str
    for_s: float
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def anchor(self) -> str:
        """Of its entry in the runbook."""
        return self.name.lower()
