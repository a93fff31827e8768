"""The worker's Prometheus metrics; names and labels are the contract's."""

from prometheus_client import CollectorRegistry, start_http_server

from forecasting.contracts import metric_names
from pipelines.worker.outcome import RunOutcome
from serving.prometheus_metrics import counter, gauge


class WorkerMetrics:
    """Counters of one worker, in a registry of their own."""

    def __init__(self, model: str) -> None:
        """Nothing was counted yet; every outcome is there from the start, so that the first one is an increase."""
        self.registry = CollectorRegistry()
        self._runs = counter(metric_names.WORKER_RUNS, self.registry)
        self._last_seen = gauge(metric_names.WORKER_LAST_SEEN, self.registry)
        for outcome in RunOutcome:
            self._runs.labels(model, outcome.value)

    def count(self, model: str, outcome: RunOutcome) -> None:
        """Count a run by how it ended."""
        self._runs.labels(model, outcome.value).inc()

    def seen(self, model: str, now: int) -> None:
        """Note that the worker looked for requests."""
        self._last_seen.labels(model).set(now)

    def serve(self, port: int, address: str) -> int:
        """Answer on a port of an address until the process ends; the port.

        Raises:
            OSError: It is taken, or the address is not of this machine.
        """
        server, _ = start_http_server(port, addr=address, registry=self.registry)
        return int(server.server_port)
