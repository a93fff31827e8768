"""The section `batch`: forecasts of every series on a schedule."""

from pydantic import Field, model_validator

from forecasting.config.section import Section
from forecasting.config.values import Schedule, ZoneName


class BatchConfig(Section):
    """Forecasts of every series from one cutoff, by `almanac forecast --batch` or the pipeline `forecast_batch`."""

    to: str | None = Field(
        None,
        description="A folder of Parquet files (a relative one is taken from the state directory), sqlite:///FILE or "
        "postgresql://USER:${PASSWORD}@HOST/NAME, where ${PASSWORD} names an environment variable; none: it is given each time.",
    )
    schedule: Schedule | None = Field(
        None,
        description="When a batch is made on Argo Workflows, in the five fields of cron; its cutoff is the time for which it was due. None: by no schedule.",
    )
    time_zone: ZoneName = Field("UTC", description="Zone of the schedule (IANA name).")

    @model_validator(mode="after")
    def _check_place(self) -> "BatchConfig":
        if self.schedule is not None and self.to is None:
            raise ValueError("batch.schedule needs to know where to; set batch.to")
        return self
