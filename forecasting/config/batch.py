"""The section `batch`: forecasts of every series on a schedule."""

from pydantic import Field

from forecasting.config.section import Section


class BatchConfig(Section):
    """Forecasts of every series from one cutoff, by `almanac forecast --batch` or the pipeline `forecast_batch`."""

    to: str | None = Field(
        None,
        description="A folder of Parquet files (a relative one is taken from the state directory), sqlite:///FILE or "
        "postgresql://USER:${PASSWORD}@HOST/NAME, where ${PASSWORD} names an environment variable; none: it is given each time.",
    )
