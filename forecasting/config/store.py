"""The section `store`: the tables of forecasts, observations and retrain requests."""

from pydantic import Field

from forecasting.config.section import Section
from forecasting.config.values import Duration


class StoreConfig(Section):
    """Where forecasts, observations and retrain requests are, and how long they stay."""

    url: str | None = Field(
        None,
        description="sqlite:///FILE or postgresql://USER:${PASSWORD}@HOST/NAME, where ${PASSWORD} names an environment "
        "variable, quoted as in a URL; none: serving.db in the state directory.",
    )
    keep_forecasts: Duration | None = Field(
        "90d",
        description="Forecasts made within this time stay; older ones go within an hour while the gateway runs, or with `almanac store prune`. none: all stay.",
    )
    keep_observations: Duration | None = Field(
        None,
        description="Observations of times within this time stay; older ones go within an hour while the gateway runs, or with `almanac store prune`. none: all stay.",
    )
    flush_interval_s: float = Field(
        0.2, gt=0, le=60, description="How often forecasts are written; a kill -9 loses at most what came since."
    )
    queue_size: int = Field(
        20_000, gt=0, description="Forecasts that wait in memory at most; more go to a file until the store takes them."
    )
