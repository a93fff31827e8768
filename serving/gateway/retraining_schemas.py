"""Bodies of the routes of retraining as classes, for the OpenAPI document only."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Outcome = Literal["made", "duplicate", "limited", "ignored"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AlertBody(BaseModel):
    """One alert; other keys are left alone."""

    status: Literal["firing", "resolved"]
    fingerprint: str = Field(description="Letters and digits.", min_length=1, max_length=64)
    labels: dict[str, str] = Field({}, description="`retrain` and `model` ask for a run.")
    annotations: dict[str, str] = Field({}, description="`summary` becomes the reason.")


class AlertsBody(BaseModel):
    """A post of Alertmanager's webhook, version 4; other keys are left alone."""

    alerts: list[AlertBody] = Field(max_length=1_000)


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
            "status": "firing",
            "receiver": "retrain",
            "alerts": [
                {
                    "status": "firing",
                    "fingerprint": "c9d4f3a1b2e80711",
                    "labels": {"alertname": "ForecastAccuracyDegraded", "model": "electricity", "retrain": "accuracy"},
                    "annotations": {"summary": "WAPE of one day is 1.8 times that of the backtest"},
                    "startsAt": "2026-01-31T00:00:00Z",
                }
            ],
        },
    }
}

RETRAIN_EXAMPLES: dict[str, Any] = {
    "reason": {"summary": "With a reason", "value": {"reason": "tariffs change on Monday"}},
    "bare": {"summary": "Without", "value": {}},
}
