"""The figures of a run for Prometheus: a text file in its report, one for the node exporter, and a push where that is set.

All are gauges with the time of the run beside them: nobody can be asked later, and a Pushgateway keeps the last value for ever.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile

from components.reporting.evidence import EvidenceRecord
from forecasting.backtest.summary import better_naive
from forecasting.config.monitoring import MonitoringConfig
from forecasting.contracts import metric_names
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.metric_spec import MetricSpec
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.environment import resolve_setting
from forecasting.errors import AlmanacError, ConfigError
from forecasting.gates import GateDecision
from forecasting.runs import RunRecord, list_runs, load_run

logger = logging.getLogger(__name__)

METRICS_TEXTFILE = "metrics.prom"
JOB = "almanac_pipeline"
"""Job under which a Pushgateway keeps the figures, by model."""
PUSH_S = 10.0
_ENDED = (RunStatus.SUCCEEDED, RunStatus.REFUSED, RunStatus.FAILED, RunStatus.STOPPED)


def tell_run_metrics(
    evidence: EvidenceRecord, settings: MonitoringConfig, output: Path, *, home: HomeLayout, now: float
) -> list[str]:
    """Write metrics.prom, the file for the node exporter, and push; returns what could not be told, in words.

    Args:
        evidence: What the run left behind.
        settings: Where figures go.
        output: Folder of the report.
        home: Where earlier runs are.
        now: When the run ended, epoch seconds.
    """
    registry = run_metrics(evidence, home=home, now=now)
    write_to_textfile(str(output / METRICS_TEXTFILE), registry)
    model, problems = evidence.run.model, []
    if settings.textfile_dir is not None:
        path = Path(settings.textfile_dir) / f"almanac_{model}.prom"
        try:
            write_to_textfile(str(path), registry)
        except OSError as error:
            problems.append(f"monitoring.textfile_dir: {path} cannot be written: {error.strerror}")
    if settings.pushgateway is not None and (problem := _push(settings.pushgateway, model, registry)):
        problems.append(problem)
    for problem in problems:
        logger.warning("%s", problem)
    return problems


def run_metrics(evidence: EvidenceRecord, *, home: HomeLayout, now: float) -> CollectorRegistry:
    """The figures of a run in a registry."""
    registry, model = CollectorRegistry(), evidence.run.model

    def show(metric: MetricSpec, values: Iterable[tuple[tuple[str, ...], float | None]]) -> None:
        gauge = Gauge(metric.exposed, metric.help, metric.labels, registry=registry)
        for labels, value in values:
            if value is not None and math.isfinite(value):
                gauge.labels(model, *labels).set(value)

    show(metric_names.PIPELINE_LAST_RUN, [((), now)])
    runs = _kept_runs(model, home)
    show(metric_names.PIPELINE_LAST_SUCCESS, [((), _last_end((RunStatus.SUCCEEDED,), evidence, runs, now))])
    show(metric_names.PIPELINE_LAST_RESULT, [((), _last_result(evidence, runs, now))])
    show(metric_names.PIPELINE_STATUS, [((one.value,), float(one is evidence.status)) for one in _ENDED])
    show(metric_names.PIPELINE_DURATION, [((), max(0.0, now - evidence.run.created))])
    steps = [(name, step) for name, step in evidence.run.steps.items() if name != StepName.REPORT_RUN]
    show(metric_names.PIPELINE_STEP_DURATION, [((name.value,), step.duration_s) for name, step in steps])
    _show_gates(evidence, show)
    _show_accuracy(evidence, show)
    _show_table(evidence, show)
    return registry


_Show = Callable[[MetricSpec, Iterable[tuple[tuple[str, ...], float | None]]], None]


def _kept_runs(model: str, home: HomeLayout) -> list[RunRecord]:
    """Runs of a model as they stand."""
    found = []
    for layout in list_runs(home):
        try:
            record = load_run(layout)
        except AlmanacError as error:
            logger.warning("left out of the last success and result: %s", error)
            continue
        if record.model == model:
            found.append(record)
    return found


def _last_end(
    wanted: Sequence[RunStatus], evidence: EvidenceRecord, runs: Sequence[RunRecord], now: float
) -> float | None:
    """When the last run that ended so did; this one ends now."""
    if evidence.status in wanted:
        return now
    return max((one.finished for one in runs if one.status in wanted and one.finished), default=None)


def _last_result(evidence: EvidenceRecord, runs: Sequence[RunRecord], now: float) -> float:
    """A refusal is a result. Where no run has come to one, it is waited for since the first began."""
    ended = _last_end((RunStatus.SUCCEEDED, RunStatus.REFUSED), evidence, runs, now)
    return min(evidence.run.created, *(one.created for one in runs), now) if ended is None else ended


def _show_gates(evidence: EvidenceRecord, show: _Show) -> None:
    passed = {step.value: decision.passed for step, decision in evidence.decisions.items()}
    if evidence.validation is not None:
        passed = {StepName.VALIDATE_DATA.value: bool(evidence.validation.get("passed")), **passed}
    show(metric_names.PIPELINE_GATE_PASSED, [((gate,), float(one)) for gate, one in passed.items()])
    margins = {
        (step.value, rule): margin
        for step, decision in evidence.decisions.items()
        for rule, margin in _margins(decision).items()
    }
    show(metric_names.PIPELINE_GATE_MARGIN, margins.items())


def _margins(decision: GateDecision) -> dict[str, float]:
    """Room under each rule, of the variant that ships where one does; of several the least."""
    found: dict[str, float] = {}
    for result in decision.rules:
        if decision.variant and result.role != decision.variant:
            continue
        if math.isfinite(result.margin):
            found[result.rule] = min(result.margin, found.get(result.rule, math.inf))
    return found


def _show_accuracy(evidence: EvidenceRecord, show: _Show) -> None:
    models = {} if evidence.backtest is None else dict(evidence.backtest.models)
    named: dict[str, float | None] = {
        role: models[role].overall.get("wape") for role in ("candidate", "champion") if role in models
    }
    if any(name.startswith("seasonal_naive_") for name in models):
        named["seasonal_naive"] = models[better_naive(models)].overall.get("wape")
    show(metric_names.PIPELINE_WAPE, [((role,), value) for role, value in named.items()])


def _show_table(evidence: EvidenceRecord, show: _Show) -> None:
    report, profile = evidence.validation or {}, evidence.profile or {}
    target: Mapping[str, Any] = next(iter(profile.get("columns", {}).values()), {})
    rows = {"read": report.get("n_rows"), "missing": target.get("n_missing")}
    show(metric_names.PIPELINE_ROWS, [((status,), n) for status, n in rows.items()])
    series = {"accepted": report.get("n_series"), "quarantined": len(report["quarantined"]) if report else None}
    show(metric_names.PIPELINE_SERIES, [((status,), n) for status, n in series.items()])
    broken = {
        (str(one["rule"] or one["name"]), str(one["severity"])) for one in report.get("checks", ()) if not one["passed"]
    }
    show(metric_names.PIPELINE_BROKEN_RULES, [(labels, 1.0) for labels in sorted(broken)])


def _push(address: str, model: str, registry: CollectorRegistry) -> str:
    """Push; why it could not be, empty where it could. The address is shown without what variables hold."""
    name = f"monitoring.pushgateway ({address})"
    try:
        resolved = resolve_setting(address, setting="monitoring.pushgateway")
    except ConfigError as error:
        return str(error)
    if urlsplit(resolved.value).scheme not in ("http", "https"):
        return f"{name} must be an address such as http://HOST:9091"
    try:
        push_to_gateway(resolved.value, JOB, registry, grouping_key={"model": model}, timeout=PUSH_S)
    except (OSError, ValueError) as error:
        return f"{name} took no figures: {resolved.scrubbed(str(error))}"
    return ""
