"""The section `retention`: what `almanac gc` leaves."""

from pydantic import Field

from forecasting.config.section import Section
from forecasting.config.values import Duration


class RetentionConfig(Section):
    """What `almanac gc` leaves of a model; always what champion, candidate and previous came from, and what is going."""

    keep_runs: int = Field(20, gt=0, description="Newest runs that stay.")
    keep_for: Duration | None = Field(
        None, description="Runs that were begun within this time stay too, such as 30d; none: however young a run is."
    )
    keep_versions: int | None = Field(
        None, gt=1, description="Newest versions that stay, beside those with a role; none: serving.keep_versions."
    )
    keep_fits_for: Duration = Field("30d", description="Fits of backtests that were begun within this time stay.")
    tracked: bool = Field(True, description="Whether runs and versions that go are removed from MLflow too.")
