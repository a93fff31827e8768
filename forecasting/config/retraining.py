"""The section `retraining`: what asks for a new run, how often, and on which observations it is trained."""

from typing import Literal

from pydantic import Field

from forecasting.config.section import Section
from forecasting.config.values import Duration, Schedule, ZoneName

ObservationsRule = Literal["replace", "fill", "ignore"]


class RetrainingConfig(Section):
    """When `almanac worker` runs the pipeline again, and what of the store it is trained on."""

    schedule: Schedule | None = Field(
        None,
        description="When to train again, in the five fields of cron: `0 3 * * 1` is Monday at three. None: by no schedule.",
    )
    time_zone: ZoneName = Field("UTC", description="Zone of the schedule (IANA name).")
    alerts: bool = Field(
        True,
        description="Whether an alert that Alertmanager sends to POST /v1/alerts of the gateway asks for a run, where it has "
        "the label `retrain` and this model.",
    )
    alert_rate: float = Field(
        10.0, gt=0, description="Posts of alerts a second that the gateway takes; others get 429."
    )
    new_data: Duration | None = Field(
        None,
        description="A run is asked for once the target is known for so long after the champion's cutoff, by the table or by observations. None: not by new data.",
    )
    look_interval: Duration = Field(
        "15min", description="How often the worker looks for new data; a table is read only where it has changed."
    )
    cooldown: Duration = Field(
        "6h", description="After the end of a run neither an alert nor new data asks for another one within this time."
    )
    alert_repeat: Duration = Field(
        "7d",
        description="An alert that goes on firing after a run that it asked for asks again after this time only; one that was resolved "
        "meanwhile and fires anew after `cooldown`.",
    )
    max_per_day: int = Field(4, gt=0, description="Runs that alerts and new data may ask for within 24 hours.")
    data_lag: Duration | None = Field(
        None,
        description="How long after its time stamp a target is in the table or the store: the cutoff of a run is the time when it begins, less this, down to a whole step. None: at once.",
    )
    observations: ObservationsRule = Field(
        "replace",
        description="What a run does with values that were posted to the gateway. replace: they stand in the place of the table's; fill: only where the table has none; ignore: they are not read.",
    )
    runner: Literal["local", "cluster"] = Field(
        "local",
        description="Where `almanac worker` runs the pipeline. local: beside itself; cluster: it submits a run to the cluster of the section "
        "cluster, and follows it; the worker then needs the volume with the runs (ALMANAC_HOME).",
    )
    poll_interval_s: float = Field(5.0, gt=0, le=3600, description="How often the worker looks for requests.")
    lease_s: int = Field(
        120,
        ge=90,
        description="How long a request stays with a worker that gives no sign of life; another one takes it then. It is renewed after each third of this, and a run is stopped 45 s before its end.",
    )
    retry_delay: Duration = Field(
        "1min", description="Time before a run that ended for a passing reason is tried again; three times in all."
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port with the worker's Prometheus metrics, by convention 9103; 0: any free one; none: no port.",
    )
    metrics_address: str = Field("127.0.0.1", description="Address that this port is on.")


class ObservationsSettings(Section):
    """Observations as validate_data reads them: of which store, and whether they replace what the table has or fill its gaps.

    data_lag: by which a run is begun after its cutoff.
    """

    url: str | None
    rule: Literal["replace", "fill"]
    data_lag: Duration | None
