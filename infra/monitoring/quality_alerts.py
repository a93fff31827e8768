"""Alerts of forecasts and data: accuracy, bias, coverage, drift, freshness, the pipeline and its retraining."""

from forecasting.contracts import metric_names as m
from forecasting.contracts.metric_spec import MetricSpec
from forecasting.retrain_alerts import RETRAIN_LABEL
from infra.monitoring.alert_spec import AlertSpec, Severity
from infra.monitoring.recording import (
    BIAS,
    CHAMPION,
    LONG_OUTSIDE,
    LONG_SKILL,
    QUALITY_WINDOWS_S,
    WAPE_BEFORE,
    summed,
)
from infra.monitoring.spec import HOUR_S, MINUTE_S, RulesSpec


def quality_alerts(spec: RulesSpec) -> tuple[AlertSpec, ...]:
    """Whether forecasts come true as they did in the backtest."""
    return (_worse_than_naive(spec), _degraded(spec), _biased(spec), _miscalibrated(spec))


def data_alerts(spec: RulesSpec) -> tuple[AlertSpec, ...]:
    """Whether data comes, and looks as it did."""
    return (_data_stale(spec), _data_rejected(spec), _actuals_missing(spec), _drift(spec))


def pipeline_alerts(spec: RulesSpec) -> tuple[AlertSpec, ...]:
    """Whether the model is trained again; and the heartbeat."""
    return (
        _model_stale(spec), _retraining_failing(spec), _not_reporting(spec), _requests_waiting(spec),
        _worker_down(spec), _monitor_stalled(spec),
        AlertSpec(
            "Watchdog", Severity.NONE, "vector(1)", 0, "Alerts can be delivered",
            "It always fires. Whoever receives it raises an alarm when it stops.",
        ),
    )  # fmt: skip


def _enough(spec: RulesSpec, window: str, by: str = "model, horizon") -> str:
    return (
        f"and on ({by}) {summed(m.SCORED_POINTS, spec.time.window(QUALITY_WINDOWS_S[window]), by)} >= {spec.min_points}"
    )


def _todays_champion(by: str) -> str:
    """Sums are of the role that a version had when it forecast, and stay with it when another one has become champion."""
    return f"and on ({by}) max by ({by}) ({m.BACKTEST_WAPE.exposed}{{{CHAMPION}}})"


def _worse_than_naive(spec: RulesSpec) -> AlertSpec:
    by = "model, version, horizon"
    # By version, of today's champion: what its predecessor got wrong would ask for a retrain for weeks after one. Four weeks, as in a
    # quiet week the last one is hard to beat at the far end of the horizon.
    return AlertSpec(
        "ForecastWorseThanNaive", Severity.CRITICAL,
        f"{LONG_SKILL} < 0\n{_todays_champion(by)}\n{_enough(spec, '7d', by)}", HOUR_S,
        "Forecasts of {{ $labels.model }} are worse than repeating the last season",
        "Over 4 weeks the skill of version {{ $labels.version }} against the seasonal naive is {{ $value | humanizePercentage }} at {{ $labels.horizon }}.",
        {RETRAIN_LABEL: "accuracy"},
    )  # fmt: skip


def _degraded(spec: RulesSpec) -> AlertSpec:
    by = "model, version, horizon"
    window = spec.time.window(QUALITY_WINDOWS_S["7d"])
    live = f"{summed(m.ABSOLUTE_ERROR, window, by)}\n/ ({summed(m.ACTUAL_ABSOLUTE, window, by)} > 0)"
    # Its own past where it has one of nine weeks: errors have seasons, and a backtest is of one of them. But not a past that was
    # itself too bad, so that an error which grows slowly, or that no retrain mended, is not taken for what is usual.
    promised = f"max by ({by}) ({m.BACKTEST_WAPE.exposed}{{{CHAMPION}}})"
    most = f"{spec.degradation:g} * {promised}"
    usual = f"{WAPE_BEFORE} <= on ({by}) {most}\n  or {most} and on ({by}) {WAPE_BEFORE}\n  or {promised}"
    return AlertSpec(
        "ForecastAccuracyDegraded", Severity.WARNING,
        f"(\n{live}\n)\n/ on ({by}) (\n  {usual}\n)\n> {spec.degradation:g}\n{_enough(spec, '7d', by)}", HOUR_S,
        "Forecasts of {{ $labels.model }} are less accurate than they were",
        "Over a week the error of version {{ $labels.version }} at {{ $labels.horizon }} is {{ $value | printf \"%.3g\" }} times that of the weeks before, or of its backtest.",
        {RETRAIN_LABEL: "accuracy"},
    )  # fmt: skip


def _biased(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastBiased", Severity.WARNING, f"abs({BIAS}7d) > {spec.bias_ratio:g}\n{_enough(spec, '7d')}", HOUR_S,
        "Forecasts of {{ $labels.model }} lie to one side",
        "Over 7 days the mean forecast at {{ $labels.horizon }} is {{ $value | humanizePercentage }} of the actuals away from them.",
    )  # fmt: skip


def _miscalibrated(spec: RulesSpec) -> AlertSpec:
    # Of what lies outside, not inside: ten points are nothing at the level of 0.5 and everything at 0.9. Four weeks, as a hot week is
    # too much for intervals that are right over a season. It asks, as a run stretches them anew on its validation period: a change that the model
    # follows by half keeps them too narrow when its error is no longer twice what it was.
    return AlertSpec(
        "ForecastIntervalMiscalibrated", Severity.WARNING,
        f"(\n  {LONG_OUTSIDE} > {spec.outside_most:g}\n  or {LONG_OUTSIDE} < {spec.outside_least:g}\n)\n{_todays_champion('model, version')}", HOUR_S,
        "Intervals of {{ $labels.model }} do not hold what they say",
        "Over 4 weeks {{ $value | printf \"%.3g\" }} times as many actual values as they say lie outside of the intervals of {{ $labels.level }} of version {{ $labels.version }}.",
        {RETRAIN_LABEL: "calibration"},
    )  # fmt: skip


def _late(metric: MetricSpec, limit_s: float) -> str:
    """Time since the end of the step after the latest known one: a step is known by its start, and the next one is due at its end."""
    due = f"2 * max by (model) ({m.DATA_STEP.exposed})"
    return f"time() - max by (model) ({metric.exposed})\n- on (model) ({due})\n> {limit_s:g}"


def _data_stale(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastDataStale", Severity.CRITICAL,
        _late(m.DATA_LAST, spec.data_age_s), 10 * MINUTE_S,
        "No new data for {{ $labels.model }}",
        "The step after the newest target ended {{ $value | humanizeDuration }} ago.",
    )  # fmt: skip


def _data_rejected(spec: RulesSpec) -> AlertSpec:
    refused = f'sum by (model) ({m.PIPELINE_SERIES.exposed}{{status="quarantined"}})'
    every = f"sum by (model) ({m.PIPELINE_SERIES.exposed})"
    return AlertSpec(
        "ForecastDataRejected", Severity.WARNING, f"{refused}\n/ ({every} > 0)\n> {spec.quarantined_ratio:g}", 0,
        "Validation keeps series of {{ $labels.model }} out",
        "{{ $value | humanizePercentage }} of the series of the last run are in quarantine.",
    )  # fmt: skip


def _actuals_missing(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastActualsMissing", Severity.WARNING,
        _late(m.LAST_SCORED, spec.scored_age_s), 10 * MINUTE_S,
        "Forecasts of {{ $labels.model }} are not scored",
        "The step after the latest one with a forecast and an actual ended {{ $value | humanizeDuration }} ago.",
    )  # fmt: skip


def _drift(spec: RulesSpec) -> AlertSpec:
    psi, by = m.DRIFT_PSI.exposed, "(model, feature)"
    season = f'max by {by} ({psi}{{reference="season"}})'
    training = f'max by {by} ({psi}{{reference="training"}})'
    # A column with seasons always differs from its whole past, so the same season of earlier years decides where it is known.
    return AlertSpec(
        "ForecastFeatureDrift", Severity.WARNING,
        f"(\n  {season}\n  or {training}\n)\n> {spec.psi:g}", HOUR_S,
        "The column {{ $labels.feature }} of {{ $labels.model }} looks different",
        "Its population stability index is {{ $value | printf \"%.3g\" }}.",
        {RETRAIN_LABEL: "drift"},
    )  # fmt: skip


def _model_stale(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastModelStale", Severity.WARNING,
        f"time() - max by (model) ({m.MODEL_TRAINED.exposed}) > {spec.model_age_s:g}", HOUR_S,
        "The champion of {{ $labels.model }} is old",
        "It was made {{ $value | humanizeDuration }} ago.",
    )  # fmt: skip


def _retraining_failing(spec: RulesSpec) -> AlertSpec:
    result, run = (
        f"max by (model) ({m.PIPELINE_LAST_RESULT.exposed})",
        f"max by (model) ({m.PIPELINE_LAST_RUN.exposed})",
    )
    return AlertSpec(
        "ForecastRetrainingFailing", Severity.CRITICAL,
        f"time() - {result} > {spec.run_age_s:g}\nand on (model) {run} > {result}", 0,
        "Runs of {{ $labels.model }} fail",
        "No run has come to a result for {{ $value | humanizeDuration }}; others have ended since.",
    )  # fmt: skip


def _not_reporting(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastRetrainingNotReporting", Severity.WARNING,
        f"time() - max by (model) ({m.PIPELINE_LAST_RUN.exposed}) > {spec.run_age_s:g}\nor absent({m.PIPELINE_LAST_RUN.exposed})", HOUR_S,
        "No run of the pipeline reports (model: {{ $labels.model }})",
        "No run has ended within {{ $value | humanizeDuration }}; 1s: none has ever reported.",
    )  # fmt: skip


def _requests_waiting(spec: RulesSpec) -> AlertSpec:
    return AlertSpec(
        "ForecastRetrainRequestWaiting", Severity.WARNING,
        f"time() - (min by (model) ({m.RETRAIN_OLDEST.exposed}) > 0) > {spec.request_age_s:g}", 10 * MINUTE_S,
        "A retrain request of {{ $labels.model }} is not done",
        "It was made {{ $value | humanizeDuration }} ago.",
    )  # fmt: skip


def _worker_down(spec: RulesSpec) -> AlertSpec:
    seen = f"max by (model) ({m.WORKER_LAST_SEEN.exposed})"
    # A worker with a run looks for no request meanwhile: then it is enough that its page can be read.
    at_work = f'max by (model) ({m.RETRAIN_REQUESTS.exposed}{{state="claimed"}}) > 0\n  and on (model) {seen}'
    return AlertSpec(
        "ForecastWorkerDown", Severity.WARNING,
        f'sum by (model) ({m.RETRAIN_REQUESTS.exposed}{{state=~"waiting|claimed"}}) > 0\n'
        f"unless on (model) (time() - {seen} <= {spec.worker_age_s:g})\nunless on (model) (\n  {at_work}\n)", 15 * MINUTE_S,
        "No worker takes the retrain requests of {{ $labels.model }}",
        "Open requests: {{ $value }}. No worker of this model looks for them, or Prometheus cannot read its page.",
    )  # fmt: skip


def _monitor_stalled(spec: RulesSpec) -> AlertSpec:
    idle = f"max by (model) ({m.MONITOR_ACTIVE.exposed}) == 0"
    return AlertSpec(
        "ForecastMonitorStalled", Severity.WARNING,
        f"time() - max by (model) ({m.MONITOR_LAST_ROUND.exposed}) > {spec.round_age_s:g}\nor on (model) {idle}", 15 * MINUTE_S,
        "The monitor of {{ $labels.model }} scores nothing",
        "Time since its last round that succeeded: {{ $value | humanizeDuration }}; 0s: monitors wait, and none has the lease.",
    )  # fmt: skip
