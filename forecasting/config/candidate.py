"""The section `gateway.candidate`: what share of the traffic a candidate gets."""

from pydantic import Field, field_validator, model_validator

from forecasting.config.section import Section
from forecasting.durations import duration_s
from forecasting.errors import ConfigError


class JudgementConfig(Section):
    """When a candidate is judged by its shadow traffic, and by what; no limit has a default."""

    requests: int = Field(gt=0, description="It is judged once it was asked so many requests beside the champion.")
    period: str = Field(description="It is judged at the latest after this time, such as 30min or 2d.")
    min_requests: int = Field(
        gt=0, description="With fewer requests at the end of the period nothing is decided, and another period begins."
    )
    max_error_ratio: float = Field(ge=0, le=1, description="Share of requests that it may leave without an answer.")
    max_p99_ratio: float = Field(
        gt=0, description="99th percentile of the model's time, over the champion's for the same requests."
    )
    max_difference_ratio: float = Field(
        gt=0, description="Mean absolute difference of the point forecasts, over the champion's mean absolute forecast."
    )
    max_live_error_ratio: float | None = Field(
        gt=0,
        description="MAE over the champion's on the steps whose actual came by then; null: actuals are not waited for.",
    )
    min_actuals: int = Field(100, gt=0, description="Such steps that there must be.")

    @field_validator("period")
    @classmethod
    def _check_period(cls, period: str) -> str:
        try:
            duration_s(period)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return period

    @model_validator(mode="after")
    def _check_requests(self) -> "JudgementConfig":
        if self.min_requests > self.requests:
            raise ValueError(f"min_requests must be at most requests ({self.requests}), found {self.min_requests}")
        return self


class CandidateConfig(Section):
    """Traffic of the version that is candidate, while there is one."""

    weight: float = Field(
        0.0, ge=0, le=1, description="Share of requests that the candidate answers; the id of a request decides, so a request "
        "that is sent again gets the same version. What it cannot answer the champion does.",
    )  # fmt: skip
    shadow: float = Field(
        0.0, ge=0, le=1, description="Share of the champion's requests that the candidate is asked too, after the answer was "
        "sent; both answers go to the store.",
    )  # fmt: skip
    shadow_at_once: int = Field(
        4, gt=0, description="Such requests at the same time; more are left out, and counted as dropped."
    )
    timeout_s: float = Field(5.0, gt=0, description="Longest wait for the candidate; the champion answers after it.")
    judgement: JudgementConfig | None = Field(
        None, description="When the candidate is promoted or rolled back by what it did; null: never by itself."
    )

    @model_validator(mode="after")
    def _check_shadow(self) -> "CandidateConfig":
        if self.judgement is not None and not self.shadow:
            raise ValueError("judgement compares the answers of shadow traffic; set shadow above 0")
        return self
