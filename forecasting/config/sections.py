"""The smaller sections of the configuration: frozen pydantic models, every field with a comment and a default.

The others have files of their own in this folder. Thresholds (`gates.py`) are the one thing without defaults. Durations
are pandas offsets such as `28d` or `24h`; lengths in steps are integers.
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from forecasting.config.section import Section
from forecasting.config.values import Duration, Lengths


class ForecastConfig(Section):
    """What is forecast from what."""

    horizon: int = Field(24, gt=0, description="Steps ahead.")
    context: int = Field(
        336,
        gt=0,
        description="Past steps the model reads; a multiple of the segment. The default is two weeks of hours.",
    )
    segment: int = Field(
        24, gt=0, description="Steps in one segment of the recurrence, usually one season; the default suits hours."
    )
    quantiles: tuple[float, ...] = Field((0.1, 0.5, 0.9), description="Quantile levels, ascending, with 0.5.")
    mean: bool = Field(
        False, description="Also forecast the mean, which is best for RMSE and for sums over steps and series."
    )
    seasons: Lengths = Field(
        (24, 168),
        description="Season lengths in steps: the naive baselines and the model's lags. The default is the day and the week of hours.",
    )

    @field_validator("quantiles")
    @classmethod
    def _check_quantiles(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels):
            raise ValueError("quantiles must ascend strictly between 0 and 1")
        if 0.5 not in levels:
            raise ValueError("quantiles must contain 0.5, the point forecast")
        return levels

    @model_validator(mode="after")
    def _check_lengths(self) -> "ForecastConfig":
        if self.context % self.segment:
            raise ValueError(f"context ({self.context}) must be a multiple of segment ({self.segment})")
        if not self.seasons or max(self.seasons) > self.context:
            raise ValueError("seasons must name a season, and none longer than context")
        return self


class SplitConfig(Section):
    """Cuts by time: train, then validation, then test; by shares, by lengths or by dates."""

    fractions: tuple[float, float, float] = Field(
        (0.7, 0.2, 0.1), description="Shares of train, validation and test, where neither lengths nor dates are given."
    )
    validation: Duration | None = Field(
        None, description="Length of the validation period (early stopping, calibration), before the test period."
    )
    test: Duration | None = Field(None, description="Length of the test period (backtest and gates), up to the cutoff.")
    train_until: str | None = Field(None, description="End of the train period (ISO 8601 with zone).")
    validation_until: str | None = Field(None, description="End of the validation period (ISO 8601 with zone).")
    embargo: bool = Field(
        True,
        description="Leave one horizon out at the start of validation and test, so that no forecast reaches across.",
    )

    @field_validator("fractions")
    @classmethod
    def _check_fractions(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(
                f"three shares above 0 must make 1, and {', '.join(f'{share:g}' for share in shares)} do not"
            )
        return shares

    @model_validator(mode="after")
    def _check_kind(self) -> "SplitConfig":
        lengths, dates = (self.validation, self.test), (self.train_until, self.validation_until)
        for names, values in (("validation and test", lengths), ("train_until and validation_until", dates)):
            if sum(value is not None for value in values) == 1:
                raise ValueError(f"{names} must be given together")
        given = [name for name, values in (("lengths", lengths), ("dates", dates)) if values[0] is not None]
        if len(given) == 2:
            raise ValueError("the split must be given by lengths or by dates, not both")
        return self


class OutliersConfig(Section):
    """Outliers that are put into what the models read, to see what becomes of their error."""

    share: float = Field(0.01, gt=0, le=1, description="Share of the known past values that become outliers.")
    deviations: float = Field(
        6.0, gt=0, description="How far an outlier lies from what it was, in robust standard deviations of its column."
    )
    n_windows: int = Field(512, gt=0, description="Forecasts that are made once more, at most.")
    seed: int = Field(1, ge=0, description="Seed of where outliers lie and on which side.")


class BacktestConfig(Section):
    """The rolling-origin backtest over the test period."""

    stride: int = Field(24, gt=0, description="Steps between origins.")
    folds: int = Field(
        1,
        gt=0,
        description="Folds of `almanac backtest`: periods one after another, the last of them up to the cutoff.",
    )
    fold_length: Duration | None = Field(
        None,
        description="Length of a fold of `almanac backtest`; none: that of the test period, which is then the last one.",
    )
    refit_every: int | None = Field(
        None, gt=0, description="Folds of `almanac backtest` after which the candidate is trained again; none: never."
    )
    batch_size: int = Field(256, gt=0, description="Windows scored at once.")
    cold_start_below: Duration | None = Field(
        None,
        description="Series with less history than this at the origin form the slice cold_start; none: less than forecast.context.",
    )
    horizon_buckets: int = Field(
        4, gt=0, description="Parts of nearly equal length into which the horizon is cut, each judged on its own."
    )
    importance_forecasts: int = Field(
        5_000,
        ge=0,
        description="Forecasts that the permutation importance of the columns may ask for in all, which bounds what it "
        "costs; the more columns, the fewer windows. 0: it is not measured.",
    )
    importance_repeats: int = Field(3, gt=0, description="How often each column is shuffled anew for its importance.")
    outliers: OutliersConfig | None = Field(
        default_factory=OutliersConfig,
        description="Outliers in what the models read, for the metric outlier_ratio; null: it is not measured.",
    )


class ServingConfig(Section):
    """The model server and the candidate check."""

    bind_address: str = Field("127.0.0.1", description="Address the servers listen on.")
    grpc_port: int = Field(8500, ge=0, le=65535, description="TensorFlow Serving gRPC; 0: any free port.")
    rest_port: int = Field(8501, ge=0, le=65535, description="TensorFlow Serving REST; 0: any free port.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Gateway HTTP; 0: any free port.")
    n_warmup_records: int = Field(4, gt=0, description="Warm-up requests stored with a version.")
    prefer: Literal["accuracy", "size", "latency"] = Field(
        "latency", description="What decides between variants that pass the gate."
    )
    fallback: bool = Field(
        True,
        description="Answer with a seasonal naive forecast, marked `degraded`, for series in quarantine and while the "
        "model server cannot be reached; false: such requests are errors. A request can refuse it for itself.",
    )
    signature_key_file: str | None = Field(
        None,
        description="Public key (PEM) whose owner must have signed every version, see `deploy.signing`: model server and gateway "
        "refuse what is unsigned or altered and go on with the version before. None: signatures are not looked at.",
    )
    keep_versions: int = Field(
        5, gt=1, description="Versions kept in the repository, champion and previous always among them."
    )

    @model_validator(mode="after")
    def _check_ports(self) -> "ServingConfig":
        taken: dict[int, str] = {}
        for name in ("grpc_port", "rest_port", "gateway_port"):
            port = getattr(self, name)
            if port and port in taken:
                raise ValueError(f"{taken[port]} and {name} must differ, found {port} for both; 0 takes any free port")
            taken[port] = name
        return self


class SigningConfig(Section):
    """Where the private key is with which versions are signed; the configuration never holds it."""

    key_file: str | None = Field(None, description="File with the key (P-256, P-384 or P-521, PEM, no password).")
    key_env: str | None = Field(None, description="Variable of the environment with the key instead.")

    @model_validator(mode="after")
    def _check_one(self) -> "SigningConfig":
        if (self.key_file is None) == (self.key_env is None):
            raise ValueError("exactly one of key_file and key_env must be set")
        return self


class DeployConfig(Section):
    """From a model that passed to the champion."""

    approval: Literal["auto", "manual", "shadow"] = Field(
        "auto",
        description="auto: what passes every gate is promoted; manual: it is served as candidate until `almanac models approve`; "
        "shadow: until `gateway.candidate.judgement` promotes it or rolls it back. The first model has none beside it and "
        "is promoted.",
    )
    signing: SigningConfig | None = Field(
        None, description="Sign every version when it is published; none: versions are not signed."
    )
