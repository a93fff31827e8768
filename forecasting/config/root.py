"""The whole configuration, and the part of it that each step sees."""

import json
import re
from datetime import timedelta
from math import isclose
from typing import Any

from pydantic import Field, field_validator, model_validator

from forecasting.config.batch import BatchConfig
from forecasting.config.cluster import ClusterConfig
from forecasting.config.compression import CompressionConfig
from forecasting.config.derived import derived_terms
from forecasting.config.features import FeaturesConfig
from forecasting.config.gates import GatesConfig
from forecasting.config.gateway import GatewayConfig
from forecasting.config.models import AnyModel, EnsembleConfig, SegmentLstmConfig
from forecasting.config.monitoring import MonitoringConfig
from forecasting.config.notify import NotifyConfig
from forecasting.config.retention import RetentionConfig
from forecasting.config.retraining import ObservationsSettings, RetrainingConfig
from forecasting.config.search_space import check_space, default_space
from forecasting.config.section import Section
from forecasting.config.sections import (
    BacktestConfig,
    DeployConfig,
    ForecastConfig,
    ServingConfig,
    SplitConfig,
)
from forecasting.config.store import StoreConfig
from forecasting.config.table import DataConfig
from forecasting.config.tournament_plan import plan_tournament
from forecasting.config.tracking import TrackingConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.tuning import TuningConfig
from forecasting.config.validation import ValidationConfig
from forecasting.config.workers import check_searched_batches, check_workers, is_trained
from forecasting.contracts.steps import StepName
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.localities import time_zone
from forecasting.manifests import digest_text

_DAY_S = 86_400


class AlmanacConfig(Section):
    """One configuration file."""

    name: str = Field("forecast", description="Name of the model: lower-case letters, digits and dashes.")
    data: DataConfig = Field(default_factory=DataConfig, description="Where the table is and what its columns mean.")
    validation: ValidationConfig = Field(default_factory=ValidationConfig, description="What a table must satisfy.")
    forecast: ForecastConfig = Field(default_factory=ForecastConfig, description="What is forecast from what.")
    features: FeaturesConfig = Field(default_factory=FeaturesConfig, description="Features.")
    split: SplitConfig = Field(default_factory=SplitConfig, description="Train, validation and test cuts.")
    model: AnyModel = Field(default_factory=SegmentLstmConfig, description="The model, of one of the kinds.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="The training loop.")
    backtest: BacktestConfig = Field(default_factory=BacktestConfig, description="The backtest.")
    tuning: TuningConfig = Field(default_factory=TuningConfig, description="The search of `almanac tune`.")
    gates: GatesConfig = Field(description="Thresholds; they have no defaults.")
    compression: CompressionConfig = Field(description="Pruning and quantisation; what it may cost has no default.")
    serving: ServingConfig = Field(default_factory=ServingConfig, description="The model server.")
    gateway: GatewayConfig = Field(default_factory=GatewayConfig, description="Who may ask for forecasts.")
    batch: BatchConfig = Field(default_factory=BatchConfig, description="Forecasts of every series on a schedule.")
    store: StoreConfig = Field(default_factory=StoreConfig, description="Forecasts, observations and retrain requests.")
    retraining: RetrainingConfig = Field(default_factory=RetrainingConfig, description="What asks for a new run.")
    deploy: DeployConfig = Field(default_factory=DeployConfig, description="Promotion.")
    cluster: ClusterConfig = Field(default_factory=ClusterConfig, description="Where a compiled pipeline runs.")
    tracking: TrackingConfig = Field(default_factory=TrackingConfig, description="MLflow, and trackers beside it.")
    notify: NotifyConfig = Field(default_factory=NotifyConfig, description="Who hears what became of a run.")
    monitoring: MonitoringConfig = Field(default_factory=MonitoringConfig, description="Live accuracy and drift.")
    retention: RetentionConfig = Field(default_factory=RetentionConfig, description="What `almanac gc` leaves.")

    @property
    def observations(self) -> ObservationsSettings | None:
        """What validate_data reads of the store; none: nothing."""
        rule, lag = self.retraining.observations, self.retraining.data_lag
        return None if rule == "ignore" else ObservationsSettings(url=self.store.url, rule=rule, data_lag=lag)

    @property
    def optional_steps(self) -> tuple[StepName, ...]:
        """Which steps a run has besides those of every run."""
        return (StepName.TUNE_MODEL,) if self.tuning.in_run else ()

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name) or name.endswith(("-candidate", "-forecasts")):
            raise ValueError(
                "name must be lower-case letters, digits and dashes, start with a letter and not end in -candidate or -forecasts"
            )
        return name

    @model_validator(mode="after")
    def _check_feature_columns(self) -> "AlmanacConfig":
        columns = (self.data.target, *self.data.observed, *self.data.known)
        for derived in self.features.derived:
            column, sign, _ = derived.column.partition("=")
            if column in self.data.categorical:
                if not sign:
                    raise ValueError(
                        f"features.derived names {column!r}, which is categorical; name a column {column}=VALUE"
                    )
                continue
            if derived.column not in (*columns, "target"):
                raise ValueError(f"features.derived names {derived.column!r}, which is none of {', '.join(columns)}")
        for name in (*self.features.scaling.columns, *self.features.scaling.per_series):
            if name not in (*columns, "target"):
                raise ValueError(f"features.scaling names {name!r}, which is none of {', '.join(columns)}")
        method = self.features.scaling.method_of(self.data.target, self.data.target)
        own = self.data.target in self.features.scaling.own(self.data.target)
        if self.features.target_scaling == "window" and (method != "z_score" or own):
            raise ValueError("features.target_scaling 'window' needs the target scaled by z_score over all series")
        if self.forecast.mean and method == "log1p":
            raise ValueError(
                "forecast.mean needs the target scaled by another method than log1p: the mean of a logarithm is not the "
                "logarithm of the mean; set forecast.mean: false, or another method in features.scaling"
            )
        names = [term.name for term in derived_terms(self.features.derived, self.data.target)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"features.derived makes {twice[0]!r} twice; name each once")
        return self

    @model_validator(mode="after")
    def _check_trend(self) -> "AlmanacConfig":
        singles = self.model.members if isinstance(self.model, EnsembleConfig) else (self.model,)
        if "trend" not in self.features.calendar and any(model.kind == "additive" for model in singles):
            raise ValueError("model.kind additive needs the time as a column; add 'trend' to features.calendar")
        return self

    @model_validator(mode="after")
    def _check_patch(self) -> "AlmanacConfig":
        segment = self.forecast.segment
        for model in self.model.members if isinstance(self.model, EnsembleConfig) else (self.model,):
            patch = getattr(model, "patch", None)
            if patch and segment % patch:
                raise ValueError(
                    f"model.patch ({patch}) must divide forecast.segment ({segment}), so that padding fills whole patches"
                )
        return self

    @model_validator(mode="after")
    def _check_remedies(self) -> "AlmanacConfig":
        if self.training.auto_remedy and self.model.kind in ("ensemble", "ridge"):
            raise ValueError(
                f"training.auto_remedy needs a single model that is trained, found model.kind {self.model.kind}; set it false"
            )
        return self

    @model_validator(mode="after")
    def _check_compression(self) -> "AlmanacConfig":
        try:
            plan_tournament(self.compression, self.model)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _check_space(self) -> "AlmanacConfig":
        if self.tuning.space is None:
            return self
        document = self.model_dump()
        # One value after another: what a search by the default space may find does not count.
        document["tuning"] |= {"space": None, "in_run": False}
        try:
            check_space(document, self, self.tuning.space, AlmanacConfig.model_validate)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _check_retention(self) -> "AlmanacConfig":
        kept, deployed = self.retention.keep_versions, self.serving.keep_versions
        if kept is not None and kept > deployed:
            raise ValueError(
                f"retention.keep_versions must be at most serving.keep_versions ({deployed}), for a deployment keeps no more; found {kept}"
            )
        return self

    @model_validator(mode="after")
    def _check_lease(self) -> "AlmanacConfig":
        lease, interval = self.monitoring.lease, self.monitoring.interval
        if duration_s(lease) <= duration_s(interval):
            raise ValueError(f"monitoring.lease ({lease}) must be longer than monitoring.interval ({interval})")
        return self

    @model_validator(mode="after")
    def _check_approval(self) -> "AlmanacConfig":
        if self.deploy.approval == "shadow" and self.gateway.candidate.judgement is None:
            raise ValueError(
                "deploy.approval shadow needs to know when a candidate is judged; set gateway.candidate.judgement"
            )
        return self

    @model_validator(mode="after")
    def _check_workers(self) -> "AlmanacConfig":
        n_workers = self.cluster.training.workers
        if n_workers == 1:
            return self
        n_replicas = n_workers * max(1, self.cluster.step(StepName.TRAIN_MODEL).gpu)
        try:
            check_workers(self.training, self.model, n_workers=n_workers, n_replicas=n_replicas)
            if self.tuning.in_run and is_trained(self.model):
                space = self.tuning.space or default_space(self.model_dump())
                check_searched_batches(space, n_replicas=n_replicas)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _check_gates(self) -> "AlmanacConfig":
        gates, levels = self.gates, self.forecast.quantiles
        for band in gates.model.coverage_bands:
            known = [round(high - low, 9) for low in levels for high in levels if low < high and isclose(low + high, 1)]
            if round(band.interval, 9) not in known:
                shares = ", ".join(f"{share:g}" for share in sorted(known)) or "none"
                raise ValueError(
                    f"gates.model.coverage_bands names the interval {band.interval:g}, which forecast.quantiles do not make; "
                    f"they make {shares}"
                )
        if gates.exceedance is not None and len(levels) < 2:
            raise ValueError("gates.exceedance needs at least two forecast.quantiles to read a probability off")
        if gates.slices is not None and gates.slices.max_holiday_naive_ratio is not None and not self.features.holidays:
            raise ValueError("gates.slices.max_holiday_naive_ratio needs to know the holidays; set features.holidays")
        if gates.model.max_outlier_ratio is not None and self.backtest.outliers is None:
            raise ValueError("gates.model.max_outlier_ratio needs outliers to be measured; set backtest.outliers")
        return self

    @model_validator(mode="after")
    def _check_periods(self) -> "AlmanacConfig":
        step_s, horizon = duration_s(self.data.frequency), self.forecast.horizon
        lengths = {"split.validation": self.split.validation, "split.test": self.split.test}
        split = {key: period for key, period in lengths.items() if period is not None}
        own = {f"backtest.{key}": getattr(self.backtest, key) for key in ("cold_start_below", "fold_length")}
        own["tuning.fold_length"] = self.tuning.fold_length
        for key, period in (split | {key: period for key, period in own.items() if period is not None}).items():
            if duration_s(period) % step_s:
                raise ValueError(f"{key} ({period}) must be a whole number of steps of data.frequency ({self.data.frequency})")  # fmt: skip
        for key, period in split.items():
            embargo = horizon if self.split.embargo else 0
            if (n_steps := duration_s(period) // step_s) < horizon + embargo:
                behind = f" behind an embargo of {embargo} (split.embargo)" if embargo else ""
                raise ValueError(
                    f"{key} ({period}) must hold a whole forecast: it has {n_steps} steps of {self.data.frequency}, "
                    f"and forecast.horizon has {horizon}{behind}"
                )
        return self

    @model_validator(mode="after")
    def _check_days(self) -> "AlmanacConfig":
        zone, frequency = self.features.calendar_time_zone, self.data.frequency
        if duration_s(frequency) >= _DAY_S and time_zone(zone).utcoffset(None) != timedelta(0):
            raise ValueError(
                f"features.calendar_time_zone ({zone}) must be UTC where data.frequency ({frequency}) is a day or more: steps "
                "are then days of UTC, which no local clock counts; set it to UTC, or bring the table to local days first, "
                "with dates as time stamps and data.time_zone UTC"
            )
        return self


class StepSettings(Section):
    """Base of what one step sees of the configuration; `cutoff` is a parameter of the run."""

    name: str = Field(description="Name of the model.")


class ValidateDataSettings(StepSettings):
    """Sections of validate_data."""

    data: DataConfig
    validation: ValidationConfig
    forecast: ForecastConfig
    features: FeaturesConfig
    split: SplitConfig
    observations: ObservationsSettings | None = None


class BuildFeaturesSettings(StepSettings):
    """Sections of build_features."""

    forecast: ForecastConfig
    features: FeaturesConfig


class TuneModelSettings(StepSettings):
    """Sections of tune_model: all that makes a fit, and how it is searched and judged."""

    data: DataConfig
    validation: ValidationConfig
    forecast: ForecastConfig
    features: FeaturesConfig
    split: SplitConfig
    model: AnyModel
    training: TrainingConfig
    backtest: BacktestConfig
    tuning: TuningConfig
    observations: ObservationsSettings | None = None


class TrainModelSettings(StepSettings):
    """Sections of train_model."""

    forecast: ForecastConfig
    model: AnyModel
    training: TrainingConfig


class EvaluateModelSettings(StepSettings):
    """Sections of evaluate_model."""

    forecast: ForecastConfig
    backtest: BacktestConfig
    gates: GatesConfig


class CompressModelSettings(StepSettings):
    """Sections of compress_model."""

    forecast: ForecastConfig
    model: AnyModel
    training: TrainingConfig
    compression: CompressionConfig


class EvaluateCompressedSettings(StepSettings):
    """Sections of evaluate_compressed."""

    forecast: ForecastConfig
    backtest: BacktestConfig
    gates: GatesConfig
    compression: CompressionConfig
    serving: ServingConfig


class ValidateServingSettings(StepSettings):
    """Sections of validate_serving."""

    forecast: ForecastConfig
    gates: GatesConfig
    serving: ServingConfig


class DeployModelSettings(StepSettings):
    """Sections of deploy_model."""

    forecast: ForecastConfig
    serving: ServingConfig
    deploy: DeployConfig


class ReportRunSettings(StepSettings):
    """Sections of report_run."""

    data: DataConfig
    forecast: ForecastConfig
    tracking: TrackingConfig
    notify: NotifyConfig = Field(default_factory=NotifyConfig)
    monitoring: MonitoringConfig = Field(default_factory=MonitoringConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)


class ForecastBatchSettings(StepSettings):
    """Sections of forecast_batch, which is no step of a run but a pipeline of its own."""

    serving: ServingConfig
    store: StoreConfig


STEP_SETTINGS: dict[StepName, type[StepSettings]] = {
    StepName.VALIDATE_DATA: ValidateDataSettings,
    StepName.BUILD_FEATURES: BuildFeaturesSettings,
    StepName.TUNE_MODEL: TuneModelSettings,
    StepName.TRAIN_MODEL: TrainModelSettings,
    StepName.EVALUATE_MODEL: EvaluateModelSettings,
    StepName.COMPRESS_MODEL: CompressModelSettings,
    StepName.EVALUATE_COMPRESSED: EvaluateCompressedSettings,
    StepName.VALIDATE_SERVING: ValidateServingSettings,
    StepName.DEPLOY_MODEL: DeployModelSettings,
    StepName.REPORT_RUN: ReportRunSettings,
}


def step_settings(config: AlmanacConfig, step: StepName) -> StepSettings:
    """The sections that one step sees; everything else cannot change its result."""
    kind = STEP_SETTINGS[step]
    return kind(**_values(config, kind))


def forecast_batch_settings(config: AlmanacConfig) -> ForecastBatchSettings:
    """The sections that the pipeline forecast_batch sees."""
    return ForecastBatchSettings(**_values(config, ForecastBatchSettings))


def _values(config: AlmanacConfig, kind: type[StepSettings]) -> dict[str, Any]:
    return {field: getattr(config, field) for field in kind.model_fields}


def config_digest(config: AlmanacConfig) -> str:
    """Digest of a configuration with all defaults."""
    return digest_text(json.dumps(config.model_dump(mode="json"), sort_keys=True))
