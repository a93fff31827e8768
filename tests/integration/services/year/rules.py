"""The rules of production over a past: what they record, and since when each alert fires."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.monitoring.rule_files import rule_files
from infra.monitoring.spec import RulesSpec
from tests.integration.services.year.past_prometheus import Labels, PastPrometheus

STEP_S = 1_800
"""How often rules are evaluated."""
GROUPS = ("quality.yml", "data.yml")
"""Files of alerts that need nothing but the page of the monitor."""
_RECORDS = "almanac-quality-records"
_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


@dataclass(frozen=True)
class FiringRecord:
    """An alert that fires or fired. starts_at: since when it fires, epoch seconds; its rule held for the rule's wait before that."""

    labels: Labels
    annotations: dict[str, str]
    starts_at: int

    @property
    def name(self) -> str:
        """Of the rule."""
        return dict(self.labels)["alertname"]

    @property
    def asks(self) -> bool:
        """Whether it asks for a retrain."""
        return "retrain" in dict(self.labels)


@dataclass
class FiringBook:
    """What rules gave until now.

    firing: what fires now. spans: what fired, with its end. held_since: since when an expression holds. n_evaluations: of alerts, a
    rule at a time each.
    """

    firing: dict[Labels, FiringRecord] = field(default_factory=dict)
    spans: list[tuple[FiringRecord, int]] = field(default_factory=list)
    held_since: dict[Labels, int] = field(default_factory=dict)
    n_evaluations: int = 0

    def finish(self, end: int) -> Sequence[tuple[FiringRecord, int]]:
        """Every alert with its end; what fires still ends now."""
        return [*self.spans, *((one, end) for one in self.firing.values())]


@dataclass
class RulesOverTime:
    """Evaluates every rule over stretches of time one after another, and writes what fires into a book."""

    prometheus: PastPrometheus
    book: FiringBook
    _documents: dict[str, dict[str, Any]] = field(default_factory=lambda: rule_files(RulesSpec()))

    def evaluate(self, begin: int, end: int) -> None:
        """Evaluate at each step from begin to before end; samples of that time must be written."""
        (group,) = [one for one in self._documents["recording.yml"]["groups"] if one["name"] == _RECORDS]
        for rule in group["rules"]:
            found = self.prometheus.lines(rule["expr"], begin, end - STEP_S, STEP_S)
            named = {(("__name__", rule["record"]), *labels): values for labels, values in found.items()}
            if named:
                self.prometheus.write(named)
        for rule in self._alerts():
            found = self.prometheus.lines(rule["expr"], begin, end - STEP_S, STEP_S)
            self._judge(rule, {_labels(rule, labels): values for labels, values in found.items()}, begin, end)
            self.book.n_evaluations += (end - begin) // STEP_S

    def _alerts(self) -> Iterator[dict[str, Any]]:
        for name in GROUPS:
            for group in self._documents[name]["groups"]:
                yield from group["rules"]

    def _judge(self, rule: dict[str, Any], found: dict[Labels, list[tuple[float, int]]], begin: int, end: int) -> None:
        known = {labels for labels in self.book.held_since if dict(labels)["alertname"] == rule["alert"]}
        for labels in known | set(found):
            holds = {at: value for value, at in found.get(labels, [])}
            for at in range(begin, end, STEP_S):
                self._step(rule, labels, at, holds.get(at))

    def _step(self, rule: dict[str, Any], labels: Labels, at: int, value: float | None) -> None:
        if value is None:
            self.book.held_since.pop(labels, None)
            if (was := self.book.firing.pop(labels, None)) is not None:
                self.book.spans.append((was, at))
            return
        since = self.book.held_since.setdefault(labels, at)
        if labels not in self.book.firing and at - since >= _seconds(rule["for"]):
            texts = {name: _rendered(text, labels, value) for name, text in rule["annotations"].items()}
            self.book.firing[labels] = FiringRecord(labels, texts, at)


def _labels(rule: dict[str, Any], labels: Labels) -> Labels:
    found = {name: value for name, value in labels if name != "__name__"}
    return tuple(sorted({**found, **rule["labels"], "alertname": rule["alert"]}.items()))


def _seconds(text: str) -> int:
    return sum(int(n) * _UNITS_S[unit] for n, unit in _DURATION.findall(text))


def _rendered(text: str, labels: Labels, value: float) -> str:
    known = dict(labels)
    return _VALUE.sub(f"{value:.3g}", _LABEL.sub(lambda found: known.get(found[1], ""), text))
