"""A whole service that lives by a clock of its own: model server, gateway, monitor, worker, Prometheus and Alertmanager."""

import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts import metric_names
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository
from forecasting.store.address import store_address
from forecasting.store.opening import Store, open_store
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from infra.monitoring.alertmanager_file import ReceiversSpec
from infra.monitoring.processes import running_alertmanager
from infra.monitoring.spec import TimeSpec
from pipelines.worker.local_run import LocalLauncher
from pipelines.worker.worker import Worker, WorkerSpec
from pipelines.worker.worker_metrics import WorkerMetrics
from serving.gateway.guard import ALERTS_PATH
from serving.monitor.monitor import Monitor
from tests.integration.services.prometheus import wait_until
from tests.integration.services.year.fast_clock import FastClock
from tests.integration.services.year.past_prometheus import Labels, PastPrometheus, past_prometheus
from tests.integration.services.year.rules import FiringRecord

MODEL = "victoria"
HOUR_S = 3_600
CONFIG = Path(__file__).with_name("year.yaml")
_GATEWAY_LINE = {"http": re.compile(r"Gateway at (\S+)")}
_ALERTS_TIME = TimeSpec(speed=3_600)
"""Waits of Alertmanager: what lasts is told again each second."""
_AN_HOUR_S = 3_600


@dataclass(frozen=True)
class FastService:
    """Everything that runs, by `clock`."""

    clock: FastClock
    config: AlmanacConfig
    home: HomeLayout
    store: Store
    gateway: str
    alertmanager: str
    prometheus: PastPrometheus
    monitor: Monitor
    worker: Worker

    @property
    def champion(self) -> int:
        """Its version."""
        found = ModelRepository(self.home.models).role(MODEL, ModelRole.CHAMPION)
        assert found is not None
        return found

    def observe(self, start: int, values: dict[str, list[float]]) -> None:
        """Post hours from a time on; a column may have fewer than others."""
        n = max(map(len, values.values()))
        columns = {name: [*found, *[None] * (n - len(found))] for name, found in values.items()}
        body = {"observations": {MODEL: {"start": iso(start), "values": columns}}}
        self._post(self.gateway, "/v1/observations", body)

    def forecast(self) -> dict[str, Any]:
        """The forecast of now, of the champion as it is now: a server takes a moment to switch, and the clock waits for it."""
        deadline = time.monotonic() + 60
        while True:
            found: dict[str, Any] = self._post(self.gateway, "/v1/forecast", {"fallback": False})
            if found["version"] == self.champion or time.monotonic() > deadline:
                assert found["version"] == self.champion
                return found
            time.sleep(0.2)

    def scrape(self, times: list[int]) -> None:
        """Give the page of the monitor to Prometheus, as it is, at some times."""
        page = generate_latest(self.monitor.page.registry()).decode()
        samples: dict[Labels, list[tuple[float, int]]] = {}
        for family in text_string_to_metric_families(page):
            for one in family.samples:
                if one.name.startswith("forecast_") and not one.name.endswith("_created"):
                    labels = (("__name__", one.name), ("job", "monitor"), *one.labels.items())
                    samples[labels] = [(float(one.value), at) for at in times]
        self.prometheus.write(samples)

    def tell(self, firing: list[FiringRecord], over: list[FiringRecord]) -> None:
        """Tell Alertmanager what fires and what fires no more, and wait until those that ask for a retrain have reached the gateway."""
        before, now = self._asked(), datetime.now(UTC)
        ends = [(one, datetime.fromtimestamp(now.timestamp() + _AN_HOUR_S, UTC)) for one in firing]
        alerts = [
            {
                "labels": dict(one.labels),
                "annotations": one.annotations,
                "startsAt": iso(one.starts_at),
                "endsAt": end.isoformat(),
            }
            for one, end in [*ends, *((one, now) for one in over)]
        ]
        if alerts:
            self._post(self.alertmanager, "/api/v2/alerts", alerts)
        if any(one.asks for one in firing):
            wait_until(lambda: self._asked() > before, lambda: "the alert must reach the gateway")

    def _asked(self) -> float:
        """How often alerts have reached the gateway."""
        name = f"{metric_names.RETRAIN_ASKED.exposed}{{"
        lines = [line for line in self._get("/metrics").decode().splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'source="alert"' in line)

    def _get(self, path: str) -> bytes:
        return _call(self.gateway, "GET", path, None)

    def _post(self, address: str, path: str, body: Any) -> Any:
        found = _call(address, "POST", path, json.dumps(body).encode())
        return json.loads(found) if found else None


def _call(address: str, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, f"{path}: {answer.status} {text.decode(errors='replace')[:2_000]}"
    return text


def iso(at: int) -> str:
    """Epoch seconds as ISO 8601."""
    return datetime.fromtimestamp(at, UTC).isoformat()


@contextmanager
def fast_service(root: Path, clock: FastClock) -> Iterator[FastService]:
    """The service of a state directory with a champion while the block runs; the configuration and its table lie there too."""
    config, home = load_config(root / CONFIG.name), home_layout(root)
    repository, logs = ModelRepository(home.models), root / "logs"
    flags = [
        f"--model_config_file={repository.write_server_config()}", "--model_config_file_poll_wait_seconds=1",
        "--prefer_tflite_model", "--max_num_load_retries=0",
    ]  # fmt: skip
    with ExitStack() as stack:
        server = stack.enter_context(model_server(flags, log=logs / "year_server.log"))
        with GrpcClient(server.grpc_address) as client:
            client.wait_available(MODEL, 1, timeout_s=60)
        command = [
            sys.executable, "-m", "tests.integration.services.year.gateway_process", str(clock.file), f"--model={MODEL}",
            f"--models-dir={home.models}", "--port=0", f"--grpc={server.grpc_address}", "--store=default",
            "--flush-interval-s=0.01", "--keep-forecasts=none", "--keep-observations=none",
            f"--retraining={config.retraining.model_dump_json()}",
        ]  # fmt: skip
        process = listening_process(command, _GATEWAY_LINE, log=logs / "year_gateway.log")
        _, addresses = stack.enter_context(process)
        receivers = ReceiversSpec(f"http://{addresses['http']}{ALERTS_PATH}", time=_ALERTS_TIME)
        alerts = stack.enter_context(running_alertmanager(root / "alertmanager", receivers))
        prometheus = stack.enter_context(past_prometheus(root / "prometheus", sample_s=HOUR_S))
        store = stack.enter_context(open_store(store_address(None, home.serving_database)))
        monitor = Monitor(store, repository, MODEL, config.monitoring, clock=clock, owner="year")
        stack.callback(monitor.close)
        spec = WorkerSpec(config, home, ("-c", str(root / CONFIG.name)), "year")
        worker = Worker(spec, store, LocalLauncher(home), WorkerMetrics(MODEL), say=print, clock=clock)
        yield FastService(
            clock, config, home, store, addresses["http"], alerts.address, prometheus, monitor, worker
        )  # fmt: skip
