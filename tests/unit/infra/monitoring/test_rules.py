"""What can be said of the rules without Prometheus."""

import re
from dataclasses import fields, replace

import pytest

from forecasting.contracts.metric_names import METRICS
from infra.monitoring.alert_spec import Severity
from infra.monitoring.recording import NAMES, WEEKS_NAMES, recording_rules
from infra.monitoring.rule_files import alert_groups, alerts_document
from infra.monitoring.rule_tests import CASES, rule_of
from infra.monitoring.spec import RulesSpec, TimeSpec, duration
from infra.monitoring.tensorflow_names import scraped
from tests.unit.infra.monitoring.expressions import asked_labels, known_metrics, named_metrics

SPEC = RulesSpec()
RECORDS = [rule for rules in recording_rules(SPEC).values() for rule in rules]
ALERTS = [alert for alerts in alert_groups(SPEC).values() for alert in alerts]


def test_there_are_27_recording_rules_named_by_level_metric_and_operation():
    every = [*NAMES, *WEEKS_NAMES]
    assert [rule.name for rule in RECORDS] == every
    assert len(set(every)) == 27
    assert [
        name
        for name in every
        if not re.fullmatch(r"(job|(model|version)_(horizon|level)):[a-z_]+:[a-z_]+\d+[mhd]", name)
    ] == []


def test_rules_read_only_metrics_of_the_contract_and_recorded_ones():
    for rule in (*RECORDS, *ALERTS):
        assert named_metrics(rule.expr) <= known_metrics(), rule.name


def test_labels_that_rules_ask_for_are_those_of_the_contract():
    labels = {spec.exposed: set(spec.labels) for spec in METRICS.values()}
    for rule in (*RECORDS, *ALERTS):
        for name, asked in asked_labels(rule.expr):
            assert asked <= labels[name], f"{rule.name} asks {name} for {asked}"


def test_every_alert_has_a_case_that_fires_and_one_that_just_does_not():
    both = {(alert.name, bool(case.expected)) for case in CASES for alert in [rule_of(case, ALERTS)]}
    names = {alert.name for alert in ALERTS}
    assert both == {(name, fires) for name in names for fires in (True, False)} - {("Watchdog", False)}
    burns = [(alert.name, dict(alert.labels)) for alert in ALERTS if alert.name.endswith("Burn")]
    for name, fixed in burns:
        found = [bool(case.expected) for case in CASES if case.alert == name and dict(case.fixed) == fixed]
        assert sorted(found) == [False, False, False, True]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}{alert.labels.get('long', '')}")
def test_an_alert_says_who_hears_of_it_what_the_value_is_and_where_its_entry_is(alert):
    assert alert.severity in Severity
    assert alert.summary
    assert "$value" in alert.description or alert.name in ("ForecastServingDown", "ForecastMonitorDown", "Watchdog")
    assert alert.anchor() == alert.name.lower()


def test_every_alert_says_how_long_it_must_hold_and_is_at_once_only_where_it_need_not_last():
    written = [rule for group in alerts_document("all", ALERTS, SPEC)["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in written if "for" not in rule] == []
    assert {rule["alert"] for rule in written if rule["for"] == "0s"} == {
        "ForecastDataRejected",
        "ForecastInvalidPredictions",
        "ForecastModelLoadFailing",
        "ForecastRetrainingFailing",
        "Watchdog",
    }


def test_errors_intervals_and_drift_ask_for_a_retrain_and_only_what_does_harm_pages():
    asking = {alert.name: (alert.labels["retrain"], alert.severity) for alert in ALERTS if "retrain" in alert.labels}
    assert asking == {
        "ForecastWorseThanNaive": ("accuracy", Severity.CRITICAL),
        "ForecastAccuracyDegraded": ("accuracy", Severity.WARNING),
        "ForecastIntervalMiscalibrated": ("calibration", Severity.WARNING),
        "ForecastFeatureDrift": ("drift", Severity.WARNING),
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5m"), (5400, "90m"), (259_200, "3d"), (90, "90s"), (0.25, "250ms"), (2.5, "2500ms"), (0, "0s")],
)
def test_a_duration_is_written_as_prometheus_reads_it(seconds, text):
    assert duration(seconds) == text


def test_a_duration_that_would_round_to_nothing_is_refused():
    with pytest.raises(ValueError, match=r"at least a millisecond, 0.0001 s is none"):
        duration(0.0001)


def test_a_fast_spec_shortens_windows_to_the_shortest_and_waits_without_bound():
    fast = TimeSpec(speed=600, shortest_s=2)
    assert [fast.window(300), fast.window(3_600), fast.wait(120)] == ["2s", "6s", "200ms"]
    alerts = [alert for found in alert_groups(replace(SPEC, time=fast)).values() for alert in found]
    assert [
        window for alert in alerts for window in re.findall(r"\[(\w+)\]", alert.expr) if window in ("5m", "1h", "1d")
    ] == []


def test_a_latency_objective_between_two_buckets_is_refused():
    with pytest.raises(
        ValueError, match=r"latency_s must be an edge of forecast_request_duration_seconds, 0.3 is none of 0.001"
    ):
        recording_rules(replace(SPEC, latency_s=0.3))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("fallback_ratio", 0.05),
        ("degradation", 2),
        ("psi", 0.25),
        ("data_age_s", 10_800.0),
        ("outside_most", 1.5),
        ("outside_least", 0.2),
        ("min_points", 24),
    ],
)
def test_a_limit_of_the_spec_is_in_a_rule(name, limit):
    assert getattr(SPEC, name) == limit
    changed = [alert.expr for alerts in alert_groups(replace(SPEC, **{name: 7})).values() for alert in alerts]
    assert changed != [alert.expr for alert in ALERTS]


def test_every_number_of_the_spec_changes_some_rule():
    numbers = [
        field.name for field in fields(RulesSpec) if field.name not in ("time", "runbook", "levels", "latency_s")
    ]
    before = [alert.expr for alert in ALERTS]
    for name in numbers:
        changed = [alert.expr for alerts in alert_groups(replace(SPEC, **{name: 0.123})).values() for alert in alerts]
        assert changed != before, name


def test_names_of_tensorflow_serving_lose_their_colons():
    assert (
        scraped(":tensorflow:serving:batching_session:queuing_latency")
        == "tensorflow_serving_batching_session_queuing_latency"
    )
    with pytest.raises(ValueError, match="must match"):
        scraped("forecast_requests")
