"""The section `tracking`: where runs and versions are written down."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from forecasting.config.section import Section
from forecasting.config.source import check_no_password
from forecasting.config.values import Distinct


class TrackingConfig(Section):
    """MLflow, and trackers beside it. A tracker that is slow or down never costs the run more than its seconds."""

    uri: str | None = Field(
        None,
        description="Tracking URI of MLflow, with ${NAME} for secrets; none: $MLFLOW_TRACKING_URI, else SQLite in ALMANAC_HOME.",
    )
    experiment: str | None = Field(None, description="Experiment; none: the model's name.")
    also: Annotated[tuple[Literal["wandb"], ...], Distinct] = Field(
        (), description="Trackers that are told of a run too; wandb needs the extra almanac[wandb]."
    )
    wandb_project: str | None = Field(None, description="Project of Weights & Biases; none: the model's name.")
    request_timeout_s: int = Field(10, gt=0, description="Seconds until a request to MLflow counts as failed.")
    max_retries: int = Field(2, ge=0, le=10, description="How often a failed request to MLflow is tried again.")
    time_budget_s: float = Field(
        120.0, gt=0, description="Seconds that a run spends on one tracker in all; what is left is uploaded later."
    )

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        if uri is not None:
            check_no_password(uri)
        return uri
