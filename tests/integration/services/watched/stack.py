"""A whole service that is watched: model server, gateway, monitor, Prometheus, Alertmanager and clients, in real time.

Series have a step of a second, so that a forecast is scored three seconds after it was made and data is stale after ten. Rules live 1,200
times as fast as in production.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.ports import METRICS_PATH
from forecasting.features.spec import write_feature_spec
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import RunningServerRecord, listening_process, model_server
from infra.monitoring.alertmanager_file import ReceiversSpec
from infra.monitoring.processes import RunningWatchRecord, running_alertmanager, running_prometheus
from infra.monitoring.prometheus_file import PIPELINE_JOB, ScrapeSpec
from infra.monitoring.serving_alerts import WORKER_JOB
from infra.monitoring.spec import RulesSpec, TimeSpec
from serving.gateway.guard import ALERTS_PATH
from serving.launch import MONITORING_CONFIG
from tests.integration.services.prometheus import Prometheus, wait_until
from tests.integration.services.watched.receiver import Received, webhook
from tests.integration.services.watched.slow_proxy import SlowProxy, slow_proxy
from tests.integration.services.watched.told_runs import ToldRuns, told_runs
from tests.integration.services.watched.traffic import IDS, LEVEL, NOISE, Traffic, traffic
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models

MODEL = "tiny"
N_PAST, N_AHEAD = 300, 1_800
TIME = TimeSpec(speed=1_200, shortest_s=4)
RULES = RulesSpec(latency_s=1.0, server_latency_s=4.0, min_rate=0.05, data_age_s=12, scored_age_s=20, time=TIME)
"""Patient with a busy machine: what is slow here is held back for 1.5 s."""
RECORD = {"backtest": {"mae": [0.6] * 3, "wape": [0.02] * 3}}
_GATEWAY_LINE = {"http": re.compile(r"Gateway at (\S+)")}
_WORKER_LINE = {"http": re.compile(r"metrics at http://([^/\s]+)")}
_MONITOR_LINE = {"http": re.compile(r"monitor  http://([^/\s]+)")}
CONFIG = """\
name: tiny
data: {uri: nowhere.csv, time_column: time, target: Demand, known: [Temperature]}
compression: {max_accuracy_loss: 0.1}
gates:
  model: {max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}
  compressed: {max_mae: 1, max_rmse: 1}
  serving: {max_latency_ms: 50, max_difference_ratio: 0.001}
store: {url: "sqlite:///HOME/serving.db"}
monitoring: {port: 0, interval: 1s, lease: 10s, drift_window: 20s, drift_interval: 2s, late: 1h}
retraining: {metrics_port: 0, poll_interval_s: 0.5}
"""


CANDIDATE = """\
{"shadow": 1.0, "judgement": {"requests": 1000000, "period": "30d", "min_requests": 1000000, "max_error_ratio": 0.1, "max_p99_ratio": 9,
 "max_difference_ratio": 1, "max_live_error_ratio": null}}
"""


@dataclass(frozen=True)
class WatchedStack:
    """Everything that runs. runs: what runs of the pipeline told. begin: when the clients came, epoch seconds."""

    server: RunningServerRecord
    proxy: SlowProxy
    gateway: str
    monitor: subprocess.Popen[str]
    worker: subprocess.Popen[str]
    runs: ToldRuns
    repository: ModelRepository
    prometheus: RunningWatchRecord
    received: Received
    clients: Traffic
    begin: float


def series_store(now: int) -> SeriesStore:
    """Ten meters around 100, a value a second up to now; the temperature, which is 0, for half an hour more."""
    rng = np.random.default_rng(3)
    split = SplitSpec(now - 60, now - 30, now)
    spec = SeriesSpec("Demand", (), ("Temperature",), (), {}, 1, split)
    found = []
    for one in IDS:
        demand = np.full(N_PAST + N_AHEAD, np.nan)
        demand[:N_PAST] = LEVEL + rng.uniform(-NOISE, NOISE, N_PAST)
        found.append(Series(one, now - N_PAST, np.column_stack([demand, np.zeros(N_PAST + N_AHEAD)])))
    return SeriesStore(spec, tuple(found))


def publish(models: Path, home: Path, now: int) -> ModelRepository:
    """A champion and a candidate that forecast the mean of the last six seconds."""
    repository, series = ModelRepository(home / "models"), home / "series"
    series.mkdir(parents=True)
    write_series_store(series_store(now), series)
    source = tiny_models.write_version(models, home / "source", factor=1, lite=True)
    write_feature_spec(replace(tiny_models.SPEC, step_s=1), source / EXPORTED_SPEC_FILE)
    record = {"cutoff": now, "digest": "d", "run": "r", **RECORD}
    for give in (repository.promote, repository.set_candidate):
        version = repository.publish(MODEL, source, record)
        repository.keep_series(MODEL, version, series)
        give(MODEL, version)
    return repository


@contextmanager
def watched_stack(models: Path, home: Path) -> Iterator[WatchedStack]:
    """All of it while the block runs."""
    repository = publish(models, home, int(time.time()))
    (home / "tiny.yaml").write_text(CONFIG.replace("HOME", str(home)))
    flags = [
        f"--model_config_file={repository.write_server_config()}", "--prefer_tflite_model", "--max_num_load_retries=0",
        "--model_config_file_poll_wait_seconds=1", f"--monitoring_config_file={MONITORING_CONFIG}", "--enable_batching",
    ]  # fmt: skip
    with ExitStack() as stack:
        server = stack.enter_context(model_server(flags, log=home / "server.log"))
        with GrpcClient(server.grpc_address) as client:
            client.wait_available(MODEL, 1, timeout_s=60)
        proxy = stack.enter_context(slow_proxy(server.grpc_address))
        gateway = stack.enter_context(_gateway(home, proxy.address))
        watching, monitor = stack.enter_context(_almanac("monitor", _MONITOR_LINE, home))
        working, worker = stack.enter_context(_almanac("worker", _WORKER_LINE, home))
        runs = stack.enter_context(told_runs(home / "runs-told"))
        runs.tell_promoted()
        clients, begin = stack.enter_context(traffic(gateway)), time.time()
        received = stack.enter_context(webhook())
        hook = received.address
        receivers = ReceiversSpec(
            f"http://{gateway}{ALERTS_PATH}",
            pages=f"{hook}/pages",
            tickets=f"{hook}/tickets",
            watchdog=f"{hook}/watchdog",
            time=TIME,
        )
        alerts = stack.enter_context(running_alertmanager(home / "alertmanager", receivers))
        targets = {
            "gateway": gateway,
            "model-server": server.rest_address,
            "monitor": monitor,
            WORKER_JOB: worker,
            PIPELINE_JOB: runs.address,
        }
        scrapes = ScrapeSpec(targets, (), alerts.address, interval_s=1, server_path=METRICS_PATH)
        prometheus = stack.enter_context(running_prometheus(home / "prometheus", scrapes, RULES, resend_s=3))
        wait_until(
            Prometheus(prometheus.address).is_ready, lambda: f"Prometheus must answer; logs in {home / 'prometheus'}"
        )
        yield WatchedStack(
            server, proxy, gateway, watching, working, runs, repository, prometheus, received, clients, begin
        )


@contextmanager
def _gateway(home: Path, grpc: str) -> Iterator[str]:
    command = [
        sys.executable, "-m", "serving.gateway", f"--model={MODEL}", f"--models-dir={home / 'models'}", "--port=0", f"--grpc={grpc}",
        f"--store=sqlite:///{home / 'serving.db'}", "--flush-interval-s=0.3", f"--candidate={CANDIDATE}",
    ]  # fmt: skip
    with listening_process(command, _GATEWAY_LINE, log=home / "gateway.log") as (_, addresses):
        yield addresses["http"]


@contextmanager
def _almanac(command: str, line: dict[str, re.Pattern[str]], home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that stays, and where its metrics are."""
    words = [
        "env",
        f"ALMANAC_HOME={home}",
        sys.executable,
        "-m",
        "pipelines.cli",
        command,
        "-c",
        str(home / "tiny.yaml"),
    ]
    with listening_process(words, line, log=home / f"{command}.log") as (process, addresses):
        yield process, addresses["http"]
