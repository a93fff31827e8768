"""Bodies of the routes of retraining as classes, for the OpenAPI document only."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Outcome = Literal["made", "duplicate", "limited", "ignored"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AlertBody(BaseModel):
    """One alert as Alertmanager's webhook has it, version 4; other keys are left alone."""

    model_config = ConfigDict(extra="allow")

    status: Literal["firing", "resolved"]
    fingerprint: str = Field(description="Letters and digits.", min_length=1, max_length=64)
    labels: dict[str, str] = Field({}, description="`retrain` and `model` ask for a run.")
    annotations: dict[str, str] = Field({}, description="`summary` becomes the reason.")
    startsAt: datetime | None = Field(None, description="Since when it fires: posts of one episode ask once.")  # noqa: N815
    endsAt: datetime | None = Field(  # noqa: N815
        None, description="When it ended, or is taken for ended; year 1 while it fires. Not read."
    )
    generatorURL: str = Field("", description="Where the alert was made. Not read.")  # noqa: N815


class AlertsBody(BaseModel):
    """A post of Alertmanager's webhook, version 4. Only `alerts` is read; other keys are left alone."""

    model_config = ConfigDict(extra="allow")

    alerts: list[AlertBody] = Field(max_length=1_000)
    version: str = Field("4", description="Of the form.")
    groupKey: str = Field("", description="Names the group.")  # noqa: N815
    truncatedAlerts: int = Field(0, description="Alerts that were left out, by `max_alerts`.", ge=0)  # noqa: N815
    status: Literal["firing", "resolved"] = Field("firing", description="firing where one of them is.")
    receiver: str = Field("", description="Name of the receiver.")
    groupLabels: dict[str, str] = Field({}, description="Labels that the group has in common.")  # noqa: N815
    commonLabels: dict[str, str] = Field({}, description="Labels that all alerts have in common.")  # noqa: N815
    commonAnnotations: dict[str, str] = Field({}, description="The same of annotations.")  # noqa: N815
    externalURL: str = Field("", description="Of Alertmanager.")  # noqa: N815


class AlertDocument(_Document):
    """What became of one alert."""

    fingerprint: str
    outcome: _Outcome = Field(
        description="made: a request was written; duplicate: one is open; limited: by cool-down or limit; ignored: it asks for nothing."
    )
    request: int | None = Field(description="Number of the request.")
    why: str = Field(description="Why no request was written; empty where one was.")


class AlertsDocument(_Document):
    """What became of each alert."""

    alerts: list[AlertDocument]


class RetrainBody(_Document):
    """Why a run is asked for."""

    reason: str = Field("by hand", description="One line.", min_length=1, max_length=500)


class RetrainDocument(_Document):
    """What became of it."""

    outcome: Literal["made", "duplicate"]
    request: int | None = Field(description="Number of the request.")
    why: str = Field(description="Why no new request was written; empty where one was.")


class RetrainRequestDocument(_Document):
    """A request; times are ISO 8601."""

    id: int
    created_at: str
    model: str
    reason: str
    source: Literal["alert", "new_data", "schedule", "hand"]
    dedup_key: str = Field(description="Tells one reason from another.")
    state: Literal["waiting", "claimed", "done", "failed"]
    lease_owner: str | None = Field(description="The worker that has it.")
    lease_until: str | None = Field(
        description="Until when that is taken for alive; of one that waits, when it may be claimed."
    )
    attempts: int
    run: str | None = Field(description="The run that it became.")
    finished_at: str | None
    detail: str | None = Field(description="What came of it.")


class RetrainRequestsDocument(_Document):
    """Requests of the model, the newest first."""

    requests: list[RetrainRequestDocument]


ALERT_EXAMPLES: dict[str, Any] = {
    "firing": {
        "summary": "One alert that asks for a run",
        "value": {
            "version": "4",
            "groupKey": '{}/{retrain=~".+"}:{alertname="ForecastAccuracyDegraded", model="electricity"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "retrain",
            "groupLabels": {"alertname": "ForecastAccuracyDegraded", "model": "electricity"},
            "commonLabels": {"alertname": "ForecastAccuracyDegraded", "model": "electricity", "retrain": "accuracy"},
            "commonAnnotations": {"summary": "WAPE of one day is 1.8 times that of the backtest"},
            "externalURL": "http://alertmanager:9093",
            "alerts": [
                {
                    "status": "firing",
                    "fingerprint": "c9d4f3a1b2e80711",
                    "labels": {"alertname": "ForecastAccuracyDegraded", "model": "electricity", "retrain": "accuracy"},
                    "annotations": {"summary": "WAPE of one day is 1.8 times that of the backtest"},
                    "startsAt": "2026-01-31T00:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://prometheus:9090/graph?g0.expr=model_horizon%3Aforecast_wape%3Aincrease1d",
                }
            ],
        },
    }
}

RETRAIN_EXAMPLES: dict[str, Any] = {
    "reason": {"summary": "With a reason", "value": {"reason": "tariffs change on Monday"}},
    "bare": {"summary": "Without", "value": {}},
}
