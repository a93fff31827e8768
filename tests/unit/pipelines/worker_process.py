"""A worker whose runs are stand-ins, as a process that can be killed: `python -m … HOME CONFIG OWNER`."""

import sys
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from pipelines.worker.local_run import LocalLauncher
from pipelines.worker.worker import Worker, WorkerSpec
from pipelines.worker.worker_metrics import WorkerMetrics

STAND_IN = "tests.unit.pipelines.stand_in_run"


def make_worker(store, home, config_path, owner="w1", say=print, launcher=None, **more):
    config = load_config(Path(config_path))
    spec = WorkerSpec(config, home, ("-c", str(config_path)), owner)
    launcher = launcher or LocalLauncher(home, STAND_IN)
    return Worker(spec, store, launcher, WorkerMetrics(config.name), say=say, **more)


if __name__ == "__main__":
    layout = home_layout(sys.argv[1])
    url = load_config(Path(sys.argv[2])).store.url
    with open_store(store_address(url, layout.serving_database)) as opened:
        make_worker(opened, layout, sys.argv[2], sys.argv[3]).run()
