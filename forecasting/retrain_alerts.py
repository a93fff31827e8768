"""What Alertmanager posts to a webhook, read for one thing: which alerts ask to train a model again.

The form is that of its webhook, version 4: an object whose `alerts` have `status`, `labels`, `annotations` and `fingerprint`.
Other keys come and go with its versions and are left alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecasting.errors import DataError

RETRAIN_LABEL = "retrain"
"""An alert asks for a run by this label, whose value says what is wrong (accuracy, drift); rules set it, routes match it."""
MODEL_LABEL = "model"
MAX_ALERTS = 1_000
MAX_REASON = 300
"""Characters of a reason: what somebody else wrote is kept short."""


@dataclass(frozen=True)
class AlertRecord:
    """One alert of a post.

    name: its label `alertname`, empty where it has none. starts_at: since when it fires, epoch seconds; none where the post does not say.
    """

    fingerprint: str
    name: str
    is_firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: int | None = None

    def ignored(self, model: str) -> str | None:
        """Why it asks nothing of a model; none where it asks for a run."""
        if not self.is_firing:
            return "resolved"
        if not self.labels.get(RETRAIN_LABEL):
            return f"it has no label {RETRAIN_LABEL}"
        if self.labels.get(MODEL_LABEL) != model:
            return "it is of another model"
        return None

    @property
    def reason(self) -> str:
        """In words, on one line."""
        text = self.annotations.get("summary") or self.annotations.get("description") or ""
        words = " ".join(f"alert {self.name or self.fingerprint}: {text}".split()).rstrip(":")
        shown = "".join(sign for sign in words if sign.isprintable())
        return shown if len(shown) <= MAX_REASON else f"{shown[:MAX_REASON]}…"


def parse_alerts(document: Mapping[str, Any]) -> tuple[AlertRecord, ...]:
    """Alerts of a post, each fingerprint once.

    Raises:
        DataError: It is none of Alertmanager's; says what must hold and what was found.
    """
    alerts = document.get("alerts")
    if not isinstance(alerts, list):
        raise DataError(f"'alerts' must be a list, as Alertmanager's webhook has it, found {type(alerts).__name__}")
    if len(alerts) > MAX_ALERTS:
        raise DataError(f"'alerts' must have at most {MAX_ALERTS} entries, found {len(alerts)}")
    found = {alert.fingerprint: alert for alert in (_alert(one, place) for place, one in enumerate(alerts))}
    return tuple(found.values())


def episode(alert: AlertRecord, post: Sequence[AlertRecord]) -> str:
    """Names what an alert is part of, from the first firing until it is resolved: Alertmanager posts it again and again meanwhile.

    Alerts of one name that fire for one model, as of several horizons or levels, say the same, and one run answers them all: together
    they are one episode, which began with the first of them.

    Args:
        alert: One that fires.
        post: All that came with it; Alertmanager posts what `group_by` puts together.
    """
    if not alert.name:
        return f"alert:{alert.fingerprint}:{'' if alert.starts_at is None else alert.starts_at}"
    starts = [
        one.starts_at
        for one in (alert, *post)
        if one.is_firing and _kind(one) == _kind(alert) and one.starts_at is not None
    ]
    return f"alert:{alert.name}:{min(starts, default='')}"


def _kind(alert: AlertRecord) -> tuple[str, str | None, bool]:
    return alert.name, alert.labels.get(MODEL_LABEL), bool(alert.labels.get(RETRAIN_LABEL))


def _alert(one: Any, place: int) -> AlertRecord:
    where = f"alerts[{place}]"
    if not isinstance(one, dict):
        raise DataError(f"{where} must be an object, found {type(one).__name__}")
    status, fingerprint = one.get("status"), one.get("fingerprint")
    if status not in ("firing", "resolved"):
        raise DataError(f"{where}: 'status' must be firing or resolved, found {str(status)[:100]!r}")
    if not isinstance(fingerprint, str) or not 0 < len(fingerprint) <= 64 or not fingerprint.isalnum():
        raise DataError(f"{where}: 'fingerprint' must be 1 to 64 letters and digits, found {str(fingerprint)[:100]!r}")
    labels, annotations = (_texts(one, key, where) for key in ("labels", "annotations"))
    starts_at = _starts_at(one.get("startsAt"), where)
    return AlertRecord(fingerprint, labels.get("alertname", ""), status == "firing", labels, annotations, starts_at)


def _starts_at(found: Any, where: str) -> int | None:
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found)
        if moment.tzinfo is not None:
            return math.floor(moment.timestamp())
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(
        f"{where}: 'startsAt' must be a time with its zone, as 2026-05-01T12:00:00Z, found {str(found)[:100]!r}"
    )


def _texts(one: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    found = one.get(key) or {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise DataError(f"{where}: {key!r} must be an object of texts, found {str(found)[:100]!r}")
    return found
