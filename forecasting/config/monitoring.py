"""The section `monitoring`: what `almanac monitor` looks at, how often, and where figures go."""

from pydantic import Field, field_validator

from forecasting.config.section import Section
from forecasting.config.values import Duration, Lengths


class MonitoringConfig(Section):
    """Live accuracy, drift and freshness of one model, and the figures that a run leaves for Prometheus."""

    bind_address: str = Field("127.0.0.1", description="Address that the Prometheus page of `almanac monitor` is on.")
    port: int = Field(9102, ge=0, le=65535, description="Its port; 0: any free port.")
    interval: Duration = Field("1min", description="How often the monitor looks for actuals.")
    lease: Duration = Field(
        "2min",
        description="After this time without a sign of life another monitor takes over; longer than the interval.",
    )
    late: Duration = Field(
        "14d",
        description="How long after the last step of a forecast an actual still scores it, or corrects its score; "
        "`almanac monitor --once` looks at all forecasts in the store.",
    )
    horizon_buckets: Lengths = Field(
        (1, 6, 24, 168), description="Last step of each bucket of the horizon, ascending; errors are summed by bucket."
    )
    drift_window: Duration = Field(
        "28d", description="Length of what is compared with the training: the latest values."
    )
    drift_interval: Duration = Field("1h", description="How often drift is measured.")
    pushgateway: str | None = Field(
        None,
        description="Address of a Pushgateway such as http://HOST:9091, which each run tells its figures; a ${VARIABLE} in it is "
        "read from the environment. none: no push.",
    )
    textfile_dir: str | None = Field(
        None,
        description="Folder that the node exporter reads text files from; each run leaves its figures there as "
        "almanac_NAME.prom. none: only in its report, as metrics.prom.",
    )

    @field_validator("horizon_buckets")
    @classmethod
    def _check_buckets(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if list(steps) != sorted(steps):
            raise ValueError(f"must ascend, found {', '.join(map(str, steps))}")
        return steps
