"""`almanac worker`."""

import argparse
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.errors import RemoteError
from forecasting.stopping import stopped_by_signals
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from pipelines.images import set_images
from pipelines.worker.cluster_run import cluster_launcher
from pipelines.worker.local_run import LocalLauncher, RunLauncher
from pipelines.worker.worker import Worker, WorkerSpec
from pipelines.worker.worker_metrics import WorkerMetrics


def work(arguments: argparse.Namespace) -> int:
    """Claim requests and run them until SIGTERM; with --once one request at most."""
    path = Path(arguments.config)
    config, home = load_config(path, arguments.overrides), home_layout()
    words = ("-c", str(path.resolve()), *(word for change in arguments.overrides for word in ("--set", change)))
    # A process number comes again, and hosts of containers share names.
    owner = f"{platform.node() or 'unknown'}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    metrics = WorkerMetrics(config.name)
    stop = threading.Event()
    with (
        open_store(store_address(config.store.url, home.serving_database)) as store,
        _launcher(config, home, stop) as launcher,
    ):
        spec = WorkerSpec(config, home, words, owner)
        worker = Worker(spec, store, launcher, metrics, say=_say, stop=stop)
        with stopped_by_signals(stop):
            if arguments.once:
                found = worker.work_once()
                return int(ExitCode.DONE) if found is None else found.exit_code
            if config.retraining.metrics_port is not None:
                address = config.retraining.metrics_address
                _say(f"metrics at http://{address}:{_serve(metrics, config.retraining.metrics_port, address)}/metrics")
            _say(f"worker {owner} looks for requests of {config.name}")
            worker.run()
    return int(ExitCode.DONE)


@contextmanager
def _launcher(config: AlmanacConfig, home: HomeLayout, stop: threading.Event) -> Iterator[RunLauncher]:
    if config.retraining.runner == "local":
        yield LocalLauncher(home)
        return
    set_images(config, ())
    with cluster_launcher(config, home, stop.wait) as launcher:
        yield launcher


def _say(line: str) -> None:
    print(line, flush=True)


def _serve(metrics: WorkerMetrics, port: int, address: str) -> int:
    try:
        return metrics.serve(port, address)
    except OSError as error:
        raise RemoteError(
            f"retraining.metrics_port {port} must be free on retraining.metrics_address {address}: {error}"
        ) from error
