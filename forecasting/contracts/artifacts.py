"""Kinds of directories that lie between steps, and the files in each.

Every directory has a `manifest.json` (`forecasting.manifests.Manifest`).
"""

from enum import StrEnum

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "report.json"


class ArtifactKind(StrEnum):
    """What a directory holds."""

    SERIES = "series"
    FEATURES = "features"
    TUNED_SETTINGS = "tuned_settings"
    MODEL = "model"
    EVALUATION = "evaluation"
    COMPRESSED = "compressed"
    COMPRESSED_EVALUATION = "compressed_evaluation"
    CANDIDATE = "candidate"
    DEPLOYMENT = "deployment"
    RUN_REPORT = "run_report"


SCHEMA_VERSIONS: dict[ArtifactKind, int] = dict.fromkeys(ArtifactKind, 1)
"""Layout version of each kind; a reader refuses a version it does not know."""

# series: the validated table
SERIES_FILE = "series.parquet"
INDEX_FILE = "index.parquet"
"""Of series and of features: where the rows of each series lie, its start and its static columns."""
SCHEMA_FILE = "schema.json"
VINTAGES_FILE = "vintages.parquet"
"""Covariates with the time of their issue; absent where there are none."""
PROFILE_FILE = "profile.json"
DATA_DOCS_DIR = "data_docs"
VALIDATION_PAGE_FILE = "validation.html"
QUARANTINE_DIR = "quarantine"
"""A series store of the series that are left out of training; absent where there are none."""
QUARANTINE_REASONS_FILE = "reasons.json"
"""In the quarantine that a version keeps: why each series is there, by id."""
# features
PLANES_FILE = "planes.npy"
HORIZON_PLANES_FILE = "horizon_planes.npy"
"""Known covariates by vintage over the horizon of every origin; absent where there are none."""
FEATURE_SPEC_FILE = "feature_spec.json"
# tuned settings
TUNED_FILE = "tuned.json"
"""The best settings that a search found, by path, and what speaks for them."""
TRIALS_FILE = "trials.json"
TRIALS_TABLE_FILE = "trials.parquet"
TUNING_PAGE_FILE = "tuning.html"
# model
SAVED_MODEL_DIR = "saved_model"
WEIGHTS_FILE = "model.weights.h5"
FIRST_FIT_WEIGHTS_FILE = "first_fit.weights.h5"
"""Weights before the refit, of a network that has not seen the validation period; absent without `training.refit`."""
MODEL_SPEC_FILE = "model_spec.json"
HISTORY_FILE = "history.json"
CHECKPOINT_DIR = "checkpoint"
# evaluation
SCORES_FILE = "scores.parquet"
METRICS_FILE = "metrics.json"
DECISION_FILE = "decision.json"
# compressed
VARIANTS_DIR = "variants"
TFLITE_FILE = "model.tflite"
TOURNAMENT_FILE = "tournament.json"
EXPORTS_DIR = "exports"
ONNX_FILE = "model.onnx"
"""In the exports, and beside a served model, where `compression.also_export` asks for it."""
# candidate: one version directory as TensorFlow Serving reads it
VERSION_DIR = "version"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
EXPORTED_SPEC_FILE = "assets.extra/almanac_feature_spec.json"
"""The feature spec beside a served model: what gateway and client need to build a request."""
# deployment
DEPLOYMENT_FILE = "deployment.json"
FORECAST_FILE = "forecast.json"
# run report
RUN_REPORT_FILE = "report.html"
FORECAST_PICTURE_FILE = "forecast.png"
