"""Who hears of an alert."""

from dataclasses import dataclass, field
from typing import Any

from forecasting.contracts.ports import GATEWAY_PORT
from forecasting.retrain_alerts import RETRAIN_LABEL
from infra.monitoring.spec import HOUR_S, MINUTE_S, TimeSpec
from serving.gateway.guard import ALERTS_PATH

RETRAIN_TOKEN_FILE = "/etc/alertmanager/gateway-token"  # nosec B105 # a path


@dataclass(frozen=True)
class ReceiversSpec:
    """Addresses of webhooks. One that is not given is a receiver that tells nobody: its alerts are seen in Alertmanager's page only.

    pages, tickets, watchdog: of your own. retrain: of the gateway. token_file: with its token of scope `alert`; none: it asks for none.
    """

    retrain: str
    token_file: str | None = None
    pages: str | None = None
    tickets: str | None = None
    watchdog: str | None = None
    time: TimeSpec = field(default_factory=TimeSpec)


def compose_receivers() -> ReceiversSpec:
    """Those of infra/compose."""
    return ReceiversSpec(f"http://gateway:{GATEWAY_PORT}{ALERTS_PATH}", RETRAIN_TOKEN_FILE)


def alertmanager_document(spec: ReceiversSpec) -> dict[str, Any]:
    """alertmanager.yml."""
    wait = spec.time.wait
    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", "model"],
            "group_wait": wait(30),
            "group_interval": wait(5 * MINUTE_S),
            "repeat_interval": wait(12 * HOUR_S),
            "routes": [
                {"receiver": "watchdog", "matchers": ['alertname="Watchdog"'], "group_wait": "0s", "repeat_interval": wait(5 * MINUTE_S)},
                # Asked again while the alert lasts: the gateway knows the episode, what is open and what was run for it, and a request may have failed.
                {"receiver": "retrain", "matchers": [f'{RETRAIN_LABEL}=~".+"'], "repeat_interval": wait(HOUR_S), "continue": True},
                {"receiver": "pages", "matchers": ['severity="critical"'], "repeat_interval": wait(4 * HOUR_S)},
                # Said again here, since what went to `retrain` comes back to no receiver above.
                {"receiver": "tickets"},
            ],
        },
        "inhibit_rules": [
            {"source_matchers": ['severity="critical"'], "target_matchers": ['severity="warning"'], "equal": ["alertname", "job", "model"]},
            {
                "source_matchers": ['alertname="ForecastDataStale"'],
                "target_matchers": ['alertname=~"ForecastActualsMissing|ForecastFeatureDrift"'],
                "equal": ["model"],
            },
            # The same thing, told sooner and with its cause.
            {
                "source_matchers": ['alertname="ForecastWorkerDown"'],
                "target_matchers": ['alertname="ForecastRetrainRequestWaiting"'],
                "equal": ["model"],
            },
        ],
        "receivers": [
            _receiver("pages", spec.pages),
            _receiver("tickets", spec.tickets),
            _receiver("watchdog", spec.watchdog),
            _receiver("retrain", spec.retrain, spec.token_file),
        ],
    }  # fmt: skip


def _receiver(name: str, url: str | None, token_file: str | None = None) -> dict[str, Any]:
    if url is None:
        return {"name": name}
    hook: dict[str, Any] = {"url": url, "send_resolved": True}
    if token_file is not None:
        hook["http_config"] = {"authorization": {"credentials_file": token_file}}
    return {"name": name, "webhook_configs": [hook]}
