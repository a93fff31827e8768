"""Rules, their results and the decision made of them, in words and on disk."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.formats import as_limit, as_number

NAN = float("nan")


class Direction(StrEnum):
    """On which side of its limit a value must lie; the limit itself passes, but not with `below`."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    BELOW = "below"

    @property
    def sign(self) -> str:
        """As it is written between a value and its limit."""
        return {"at_most": "≤", "at_least": "≥", "below": "<"}[self.value]


@dataclass(frozen=True)
class GateResult:
    """One rule, judged.

    rule: name of the setting that holds the limit. margin: distance to the limit as a share of it
    (absolute where the limit is 0), above 0 where there is room, NaN where the value is not finite.
    role: whose value it is: a model role, or the name of a compressed variant. reason: why the rule
    failed beyond the plain comparison; empty where the comparison says it all.
    """

    rule: str
    value: float
    limit: float
    margin: float
    passed: bool
    role: str
    direction: Direction
    reason: str = ""

    def sentence(self) -> str:
        """The result in a few words, for a log line or a summary."""
        sign = {Direction.AT_MOST: "<=", Direction.AT_LEAST: ">=", Direction.BELOW: "<"}[self.direction]
        verdict = "holds" if self.passed else "fails"
        measured = as_number(self.value) if math.isfinite(self.value) else "could not be measured"
        return f"{self.rule} {verdict}: {measured}, must be {sign} {as_limit(self.limit)}" + (
            f" ({self.reason})" if self.reason else ""
        )


@dataclass(frozen=True)
class GateRule:
    """One rule, not yet judged. `reason` is kept in the result only where the rule fails."""

    rule: str
    value: float
    limit: float
    direction: Direction = Direction.AT_MOST
    role: str = ModelRole.CANDIDATE.value
    reason: str = ""

    def judge(self) -> GateResult:
        """Compare the value with the limit; a value that is not finite never passes."""
        finite = math.isfinite(self.value)
        room = self.value - self.limit if self.direction is Direction.AT_LEAST else self.limit - self.value
        passed = finite and (room > 0 if self.direction is Direction.BELOW else room >= 0)
        margin = (room / abs(self.limit) if self.limit else room) if finite else NAN
        return GateResult(
            rule=self.rule,
            value=float(self.value),
            limit=float(self.limit),
            margin=margin,
            passed=passed,
            role=self.role,
            direction=self.direction,
            reason="" if passed else self.reason,
        )


@dataclass(frozen=True)
class GateDecision:
    """Verdict of a gate.

    variant: name of the variant to ship, where the gate chooses one. approval: why a person must approve what passed;
    empty where nobody need. notes: rules that were not judged, and why.
    """

    passed: bool
    rules: tuple[GateResult, ...]
    reason: str
    variant: str | None = None
    approval: str = ""
    notes: tuple[str, ...] = ()


def decide(rules: Sequence[GateRule], *, approval: str = "", notes: Sequence[str] = ()) -> GateDecision:
    """Judge all rules; the gate passes when every one does.

    Args:
        rules: At least one.
        approval: Why a person must approve what passes; empty: nobody need.
        notes: Rules that are not judged, and why.

    Raises:
        ValueError: There is no rule: a gate without rules would let anything pass.
    """
    if not rules:
        raise ValueError("a gate must have at least one rule")
    results = tuple(rule.judge() for rule in rules)
    failed = [result for result in results if not result.passed]
    reason = "; ".join(result.sentence() for result in failed) or f"all {len(results)} rules hold"
    return GateDecision(passed=not failed, rules=results, reason=reason, approval=approval, notes=tuple(notes))


def write_decision(decision: GateDecision, path: Path) -> None:
    """Write a decision as JSON; values that are not finite become null."""
    document = asdict(decision)
    for rule in document["rules"]:
        for name in ("value", "limit", "margin"):
            rule[name] = rule[name] if math.isfinite(rule[name]) else None
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def read_decision(path: Path) -> GateDecision:
    """Read a decision written by `write_decision`; null becomes NaN.

    Raises:
        ArtifactError: The file is missing or no decision.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rules = tuple(_result(rule) for rule in document["rules"])
        return GateDecision(
            document["passed"], rules, document["reason"], document["variant"], approval=document.get("approval", ""),
            notes=tuple(document.get("notes", ())),
        )  # fmt: skip
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} must hold the decision of a gate: {error}; run the step again") from error


def _result(document: dict[str, Any]) -> GateResult:
    numbers = {name: NAN if document[name] is None else float(document[name]) for name in ("value", "limit", "margin")}
    return GateResult(**{**document, **numbers, "direction": Direction(document["direction"])})
