"""`make monitoring`: a service and what watches it, on the loopback of one machine, from their packages.

    python -m infra.monitoring.local -c pipelines/configs/electricity.yaml

starts `almanac serve`, `almanac monitor`, Alertmanager and Prometheus with the rules of production, and ends them with SIGTERM or ^C.
"""

import argparse
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from forecasting.contracts.ports import METRICS_PATH
from forecasting.errors import AlmanacError
from forecasting.wire.server_process import listening_process
from infra.monitoring.alertmanager_file import ReceiversSpec
from infra.monitoring.processes import running_alertmanager, running_prometheus
from infra.monitoring.prometheus_file import ALERTMANAGER_PORT, PROMETHEUS_PORT, ScrapeSpec
from infra.monitoring.serving_alerts import GATEWAY_JOB, MONITOR_JOB, SERVER_JOB
from infra.monitoring.spec import RulesSpec
from serving.gateway.guard import ALERTS_PATH

_SERVE_LINES = {
    "rest": re.compile(r"^REST +http://(\S+)"),
    "gateway": re.compile(r"^gateway +https?://(\S+)"),
    "ready": re.compile(r"^ready: (.*)"),
}
_MONITOR_LINE = {"monitor": re.compile(r"^monitor +http://([^/\s]+)")}


@contextmanager
def watched_service(
    config: Path, folder: Path, *, prometheus_port: int, alertmanager_port: int
) -> Iterator[dict[str, str]]:
    """A service with what watches it while the block runs; yields addresses by name.

    Args:
        config: Configuration of a model that has a champion.
        folder: For what the processes write.
        prometheus_port: Of the loopback; 0: any free one.
        alertmanager_port: The same.

    Raises:
        RemoteError: A process does not start; the message holds the end of its log.
        RetryableError: A process does not listen in time.
    """
    almanac = [sys.executable, "-m", "pipelines.cli"]
    with ExitStack() as stack:
        serve = listening_process([*almanac, "serve", "-c", str(config)], _SERVE_LINES, log=folder / "serve.log")
        _, served = stack.enter_context(serve)
        monitor = listening_process([*almanac, "monitor", "-c", str(config)], _MONITOR_LINE, log=folder / "monitor.log")
        _, watched = stack.enter_context(monitor)
        receivers = ReceiversSpec(f"http://{served['gateway']}{ALERTS_PATH}")
        alerts = stack.enter_context(running_alertmanager(folder / "alertmanager", receivers, port=alertmanager_port))
        targets = {GATEWAY_JOB: served["gateway"], SERVER_JOB: served["rest"], MONITOR_JOB: watched["monitor"]}
        scrapes = ScrapeSpec(targets, (), alerts.address, server_path=METRICS_PATH)
        found = stack.enter_context(
            running_prometheus(folder / "prometheus", scrapes, RulesSpec(), port=prometheus_port)
        )
        yield {**targets, "alertmanager": alerts.address, "prometheus": found.address}


def main(words: list[str] | None = None) -> int:
    """Run until SIGTERM or ^C; 1 where something does not start."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.monitoring.local", description="A service and what watches it, on this machine."
    )
    parser.add_argument("-c", "--config", type=Path, required=True, help="configuration of a model that has a champion")
    parser.add_argument("--folder", type=Path, default=Path("build/monitoring"), help="for what the processes write")
    parser.add_argument("--prometheus-port", type=int, default=PROMETHEUS_PORT, help="0: any free one")
    parser.add_argument("--alertmanager-port", type=int, default=ALERTMANAGER_PORT, help="0: any free one")
    flags = parser.parse_args(words)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ports = {"prometheus_port": flags.prometheus_port, "alertmanager_port": flags.alertmanager_port}
    try:
        with watched_service(flags.config, flags.folder.resolve(), **ports) as addresses:
            for name, address in addresses.items():
                sys.stdout.write(f"{name:<13} http://{address}\n")
            sys.stdout.write("watching\n")
            sys.stdout.flush()
            stop.wait()
    except AlmanacError as error:
        sys.stderr.write(f"monitoring: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
