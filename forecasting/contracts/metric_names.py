"""The Prometheus metrics that Almanac itself exposes: name, kind, labels, meaning. All names start with `forecast_`.

No series id, request id or client text may ever be a label. `model` is the configured name of the model, `version` one of its
repository, `role` what it was asked as, `horizon` a bucket of steps such as `h7_24`, `feature` a column of the table.
Sums of errors are counters, so that every window, restart and split adds up: an error ratio is one increase over
another. What a run of the pipeline leaves behind are gauges, since nobody is there to be asked later.
"""

from forecasting.contracts.metric_spec import DELAYS_S, DURATIONS_S, SIZES, MetricKind, MetricSource, MetricSpec

_C, _G, _H, _I = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM, MetricKind.INFO
_GATEWAY, _MONITOR = (MetricSource.GATEWAY,), (MetricSource.MONITOR,)
_PIPELINE, _WORKER = (MetricSource.PIPELINE,), (MetricSource.WORKER,)
_POINTS = ("model", "version", "role", "horizon")

# Requests of the gateway.
REQUESTS = MetricSpec(
    "forecast_requests", _C, ("model", "route", "code"), "Requests answered, over HTTP and gRPC.", _GATEWAY
)
REQUEST_DURATION = MetricSpec(
    "forecast_request_duration_seconds",
    _H,
    ("model", "route"),
    "Time to answer, of all codes.",
    _GATEWAY,
    "seconds",
    DURATIONS_S,
)
REQUEST_SERIES = MetricSpec(
    "forecast_request_series",
    _H,
    ("model",),
    "Series of a forecast request that was answered; the sum is all series forecast.",
    _GATEWAY,
    "series",
    SIZES,
)
IN_FLIGHT = MetricSpec("forecast_requests_in_flight", _G, (), "Requests being answered.", _GATEWAY)
REJECTED = MetricSpec(
    "forecast_requests_rejected",
    _C,
    ("model", "reason"),
    "Requests refused: schema, too_large, deadline, overload, unauthenticated, forbidden, not_found.",
    _GATEWAY,
)
DEGRADED = MetricSpec(
    "forecast_degraded",
    _C,
    ("model", "cause"),
    "Series answered by the seasonal naive fallback: quarantine, model_server, model_answer, cold.",
    _GATEWAY,
    "series",
)
INVALID_PREDICTIONS = MetricSpec(
    "forecast_invalid_predictions",
    _C,
    ("model", "reason"),
    "Series whose answer of the model was not passed on: not_finite, crossed (its quantiles), beyond_bounds (of the target), refused (of another shape, or an error of the server).",
    _GATEWAY,
    "series",
)
CANDIDATE_REQUESTS = MetricSpec(
    "forecast_candidate_requests",
    _C,
    ("model", "kind", "outcome"),
    "Requests to the candidate: kind split or shadow, outcome answered, failed or dropped.",
    _GATEWAY,
)
CANDIDATE_DURATION = MetricSpec(
    "forecast_candidate_model_duration_seconds",
    _H,
    ("model", "role"),
    "The model's time for requests that the candidate was asked too.",
    _GATEWAY,
    "seconds",
    DURATIONS_S,
)
CANDIDATE_JUDGEMENT = MetricSpec(
    "forecast_candidate_judgement",
    _G,
    ("model", "state"),
    "1 for the state of the judgement: none, gathering, undecided, waiting, promoted, rolled_back.",
    _GATEWAY,
)
CANDIDATE_ERROR_RATIO = MetricSpec(
    "forecast_candidate_error_ratio",
    _G,
    ("model",),
    "Mean absolute error of the candidate over the champion's, on the same steps of the latest requests that both answered.",
    _GATEWAY,
    "ratio",
)
OBSERVED_VALUES = MetricSpec(
    "forecast_observed_values",
    _C,
    ("model", "status"),
    "Values posted: new, restated, late, unchanged.",
    _GATEWAY,
    "values",
)
FORECAST_LOG = MetricSpec(
    "forecast_log_forecasts",
    _C,
    ("model", "outcome"),
    "Forecasts handed to the forecast log: written, spilled, refused. A spilled one counts as written, too, once the store takes it.",
    _GATEWAY,
    "forecasts",
)
FORECAST_LOG_WAITING = MetricSpec(
    "forecast_log_waiting",
    _G,
    ("model",),
    "Forecasts in memory that are not written yet.",
    _GATEWAY,
    "forecasts",
)
FORECAST_LOG_ALIVE = MetricSpec(
    "forecast_log_alive",
    _G,
    ("model",),
    "1 while somebody writes forecasts to the store, 0 where nobody does.",
    _GATEWAY,
)

# What is served.
MODEL_INFO = MetricSpec(
    "forecast_model",
    _I,
    ("model", "version", "role", "revision", "table_digest"),
    "A version in a role, the revision of the code and the digest of the table that it was made from.",
    _GATEWAY,
)
MODEL_VERSION = MetricSpec("forecast_model_version", _G, ("model", "role"), "Version in a role.", _GATEWAY)
MODEL_STATE = MetricSpec(
    "forecast_model_state",
    _G,
    ("model", "state"),
    "1 for who answers: ready (the champion), degraded (the fallback), none.",
    _GATEWAY,
)
MODEL_CUTOFF = MetricSpec(
    "forecast_model_cutoff_timestamp_seconds",
    _G,
    ("model", "version"),
    "Cutoff of the served champion, epoch.",
    _GATEWAY,
    "seconds",
)
MODEL_DATA_END = MetricSpec(
    "forecast_model_data_end_timestamp_seconds",
    _G,
    ("model", "version"),
    "Last target that the served champion was made with, epoch.",
    _GATEWAY,
    "seconds",
)
MODEL_TRAINED = MetricSpec(
    "forecast_model_trained_timestamp_seconds",
    _G,
    ("model", "version"),
    "When the served champion was published, epoch.",
    _GATEWAY,
    "seconds",
)
MODEL_LOADED = MetricSpec(
    "forecast_model_loaded_timestamp_seconds",
    _G,
    ("model", "version"),
    "When the gateway read the served champion, epoch.",
    _GATEWAY,
    "seconds",
)
MODEL_LOAD_FAILURES = MetricSpec(
    "forecast_model_load_failures",
    _C,
    ("model", "reason"),
    "Versions that the gateway could not read: artifact, configuration, other.",
    _GATEWAY,
)
MODEL_LOAD_DURATION = MetricSpec(
    "forecast_model_load_duration_seconds",
    _G,
    ("model", "version"),
    "Time that the gateway took to read the served champion.",
    _GATEWAY,
    "seconds",
)
BUILD_INFO = MetricSpec(
    "forecast_build",
    _I,
    ("version", "revision"),
    "Version of Almanac and revision of its code.",
    (MetricSource.GATEWAY, MetricSource.MONITOR),
)

# Forecasts against what came, since the first point scored.
SCORED_POINTS = MetricSpec("forecast_scored_points", _C, _POINTS, "Forecast steps with an actual.", _MONITOR, "points")
ABSOLUTE_ERROR = MetricSpec(
    "forecast_absolute_error", _C, _POINTS, "Absolute error of the point forecast.", _MONITOR, "target"
)
SQUARED_ERROR = MetricSpec(
    "forecast_squared_error", _C, _POINTS, "Squared error of the point forecast.", _MONITOR, "target squared"
)
ACTUAL_ABSOLUTE = MetricSpec(
    "forecast_actual_absolute", _C, _POINTS, "Absolute value of the actuals scored.", _MONITOR, "target"
)
OVER_ERROR = MetricSpec(
    "forecast_over_error", _C, _POINTS, "Forecast above the actual; the bias is over less under.", _MONITOR, "target"
)
UNDER_ERROR = MetricSpec("forecast_under_error", _C, _POINTS, "Forecast below the actual.", _MONITOR, "target")
NAIVE_POINTS = MetricSpec(
    "forecast_naive_points", _C, _POINTS, "Scored points whose seasonal naive forecast is known.", _MONITOR, "points"
)
NAIVE_ABSOLUTE_ERROR = MetricSpec(
    "forecast_naive_absolute_error",
    _C,
    _POINTS,
    "Absolute error of the seasonal naive forecast, where it is known.",
    _MONITOR,
    "target",
)
COMPARED_ABSOLUTE_ERROR = MetricSpec(
    "forecast_compared_absolute_error",
    _C,
    _POINTS,
    "Absolute error of the point forecast on the points of the seasonal naive.",
    _MONITOR,
    "target",
)
PINBALL_LOSS = MetricSpec(
    "forecast_pinball_loss", _C, (*_POINTS, "level"), "Pinball loss of a quantile.", _MONITOR, "target"
)
INTERVAL_POINTS = MetricSpec(
    "forecast_interval_points",
    _C,
    (*_POINTS, "level"),
    "Scored points with an interval of a nominal level.",
    _MONITOR,
    "points",
)
INTERVAL_COVERED = MetricSpec(
    "forecast_interval_covered", _C, (*_POINTS, "level"), "Scored points inside the interval.", _MONITOR, "points"
)
INTERVAL_WIDTH = MetricSpec(
    "forecast_interval_width", _C, (*_POINTS, "level"), "Width of the interval.", _MONITOR, "target"
)
BACKTEST_WAPE = MetricSpec(
    "forecast_backtest_wape",
    _G,
    ("model", "version", "role", "horizon"),
    "Absolute error over absolute actuals in the backtest of a version in a role.",
    _MONITOR,
    "ratio",
)
LAST_SCORED = MetricSpec(
    "forecast_last_scored_timestamp_seconds",
    _G,
    ("model",),
    "Latest step that was scored, epoch; before any was, the origin of the first forecast.",
    _MONITOR,
    "seconds",
)
ACTUAL_DELAY = MetricSpec(
    "forecast_actual_delay_seconds",
    _H,
    ("model",),
    "Time from the end of a step to when its actual became known, of the actuals scored.",
    _MONITOR,
    "seconds",
    DELAYS_S,
)
ACTUALS_REJECTED = MetricSpec(
    "forecast_actuals_rejected",
    _C,
    ("model", "reason"),
    "Scores that could not be, or no more: early (the actual was known before the forecast), withdrawn, not_finite (the forecast).",
    _MONITOR,
    "points",
)
ACTUALS_RESTATED = MetricSpec(
    "forecast_actuals_restated",
    _C,
    ("model",),
    "Points scored again, for another actual stands now.",
    _MONITOR,
    "points",
)

# What comes in.
DATA_LAST = MetricSpec(
    "forecast_data_last_timestamp_seconds",
    _G,
    ("model", "source"),
    "Latest step of the target that is known, epoch: table (of the champion), observations.",
    _MONITOR,
    "seconds",
)
DATA_STEP = MetricSpec(
    "forecast_data_step_seconds",
    _G,
    ("model",),
    "Step of the champion's series: a target is due two of them after the start of the newest known one.",
    _MONITOR,
    "seconds",
)
MISSING_RATIO = MetricSpec(
    "forecast_feature_missing_ratio",
    _G,
    ("model", "feature"),
    "Share of the last window without a value.",
    _MONITOR,
    "ratio",
)
DRIFT_PSI = MetricSpec(
    "forecast_feature_drift_psi",
    _G,
    ("model", "feature", "reference"),
    "Population stability index of the last window against the train cut (training) or the same weeks of earlier years (season).",
    _MONITOR,
)
DRIFT_KS = MetricSpec(
    "forecast_feature_drift_ks",
    _G,
    ("model", "feature", "reference"),
    "Kolmogorov-Smirnov statistic of the same.",
    _MONITOR,
)
PREDICTION_DRIFT_PSI = MetricSpec(
    "forecast_prediction_drift_psi",
    _G,
    ("model", "reference"),
    "Population stability index of the champion's point forecasts for the last window against the target of the reference.",
    _MONITOR,
)
DRIFT_LAST_RUN = MetricSpec(
    "forecast_drift_last_run_timestamp_seconds",
    _G,
    ("model",),
    "When drift was last measured, epoch.",
    _MONITOR,
    "seconds",
)
DRIFT_POINTS = MetricSpec(
    "forecast_feature_drift_points",
    _G,
    ("model", "feature"),
    "Values of the last window that were compared.",
    _MONITOR,
    "values",
)

# The monitor itself.
MONITOR_ACTIVE = MetricSpec(
    "forecast_monitor_active",
    _G,
    ("model",),
    "1 where this monitor has the lease and scores, 0 where it waits.",
    _MONITOR,
)
MONITOR_ROUNDS = MetricSpec("forecast_monitor_rounds", _C, ("model", "outcome"), "Rounds: done, failed.", _MONITOR)
MONITOR_ROUND_DURATION = MetricSpec(
    "forecast_monitor_round_duration_seconds", _G, ("model",), "Time of the last round.", _MONITOR, "seconds"
)
MONITOR_LAST_ROUND = MetricSpec(
    "forecast_monitor_last_round_timestamp_seconds",
    _G,
    ("model",),
    "When the last round was done, epoch; before the first, when this monitor began its first with the lease.",
    _MONITOR,
    "seconds",
)

# The last run of the pipeline.
PIPELINE_LAST_RUN = MetricSpec(
    "forecast_pipeline_last_run_timestamp_seconds",
    _G,
    ("model",),
    "When the last run ended, epoch.",
    _PIPELINE,
    "seconds",
)
PIPELINE_LAST_SUCCESS = MetricSpec(
    "forecast_pipeline_last_success_timestamp_seconds",
    _G,
    ("model",),
    "When the last run that succeeded ended, epoch.",
    _PIPELINE,
    "seconds",
)
PIPELINE_LAST_RESULT = MetricSpec(
    "forecast_pipeline_last_result_timestamp_seconds",
    _G,
    ("model",),
    "When the last run that came to a result (succeeded, or refused by a gate) ended; where none has, when the first one began; epoch.",
    _PIPELINE,
    "seconds",
)
PIPELINE_STATUS = MetricSpec(
    "forecast_pipeline_last_run_status", _G, ("model", "status"), "1 for the status of the last run.", _PIPELINE
)
PIPELINE_DURATION = MetricSpec(
    "forecast_pipeline_run_duration_seconds", _G, ("model",), "Time of the last run.", _PIPELINE, "seconds"
)
PIPELINE_STEP_DURATION = MetricSpec(
    "forecast_pipeline_step_duration_seconds",
    _G,
    ("model", "step"),
    "Time of a step in the last run.",
    _PIPELINE,
    "seconds",
)
PIPELINE_GATE_PASSED = MetricSpec(
    "forecast_pipeline_last_gate_passed",
    _G,
    ("model", "gate"),
    "1 where a gate of the last run let it pass.",
    _PIPELINE,
)
PIPELINE_GATE_MARGIN = MetricSpec(
    "forecast_pipeline_gate_margin_ratio",
    _G,
    ("model", "gate", "rule"),
    "Room left under the limit of a gate's rule, as a share of the limit; negative where it is broken.",
    _PIPELINE,
    "ratio",
)
PIPELINE_WAPE = MetricSpec(
    "forecast_pipeline_wape",
    _G,
    ("model", "role"),
    "Absolute error over absolute actuals on the folds of the last evaluation: candidate, champion, seasonal_naive.",
    _PIPELINE,
    "ratio",
)
PIPELINE_ROWS = MetricSpec(
    "forecast_pipeline_rows",
    _G,
    ("model", "status"),
    "Rows of the table in the last run: read, missing (steps without a target).",
    _PIPELINE,
    "rows",
)
PIPELINE_SERIES = MetricSpec(
    "forecast_pipeline_series",
    _G,
    ("model", "status"),
    "Series in the last run: accepted, quarantined.",
    _PIPELINE,
    "series",
)
PIPELINE_BROKEN_RULES = MetricSpec(
    "forecast_pipeline_broken_rules",
    _G,
    ("model", "rule", "severity"),
    "1 for a rule of validation that the table of the last run breaks.",
    _PIPELINE,
)

# Retraining.
RETRAIN_ASKED = MetricSpec(
    "forecast_retrain_asked",
    _C,
    ("model", "source", "outcome"),
    "Retrainings asked of the gateway: alert, hand; made, duplicate, limited, refused.",
    _GATEWAY,
)
RETRAIN_REQUESTS = MetricSpec(
    "forecast_retrain_requests",
    _G,
    ("model", "state"),
    "Retrain requests in the store: waiting, claimed, done, failed.",
    _MONITOR,
)
RETRAIN_OLDEST = MetricSpec(
    "forecast_retrain_oldest_timestamp_seconds",
    _G,
    ("model",),
    "When the oldest open retrain request was made, epoch.",
    _MONITOR,
    "seconds",
)
WORKER_RUNS = MetricSpec(
    "forecast_worker_runs", _C, ("model", "status"), "Runs that the worker began, by how they ended.", _WORKER
)
WORKER_LAST_SEEN = MetricSpec(
    "forecast_worker_last_seen_timestamp_seconds",
    _G,
    ("model",),
    "When the worker last looked for requests, epoch.",
    _WORKER,
    "seconds",
)

METRICS: dict[str, MetricSpec] = {one.name: one for one in tuple(vars().values()) if isinstance(one, MetricSpec)}
"""All of them by name, in the order above."""
