"""`almanac monitor`: the process around the monitor."""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from prometheus_client import start_http_server

from forecasting.config import AlmanacConfig
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.ports import METRICS_PATH
from forecasting.contracts.vocabulary import ModelRole
from forecasting.durations import duration_s
from forecasting.errors import ConfigError, RetryableError
from forecasting.missing_champion import missing_champion
from forecasting.repository import ModelRepository
from forecasting.stopping import stopped_by_signals
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from serving.monitor.monitor import Monitor, MonitorRoundReport
from serving.monitor.page import MonitorPage
from serving.monitor.summary import LiveScoreReport, live_scores

logger = logging.getLogger(__name__)


def monitor_once(config: AlmanacConfig, home: HomeLayout, *, as_json: bool = False) -> int:
    """Score all forecasts of the store, measure drift, and print what is known of the accuracy.

    Returns:
        0.

    Raises:
        ConfigError: There is no champion.
        RetryableError: Another monitor is at work, or the store cannot be used now; what was scored stays scored.
    """
    with open_store(store_address(config.store.url, home.serving_database)) as store:
        repository = ModelRepository(home.models)
        if repository.role(config.name, ModelRole.CHAMPION) is None:
            raise ConfigError(missing_champion(repository, config.name))
        monitor = Monitor(store, repository, config.name, config.monitoring)
        try:
            found = monitor.round(everything=True)
        finally:
            monitor.close()
        if found.owner is not None:
            raise RetryableError(
                f"{config.name!r} is monitored by {found.owner}; stop it first, or wait until its lease "
                f"({config.monitoring.lease}) ends, then try again"
            )
        if found.problem:
            raise RetryableError(found.problem)
        _print(found, live_scores(monitor.accuracy.sums), as_json=as_json)
    return int(ExitCode.DONE)


def monitor_until_stopped(config: AlmanacConfig, home: HomeLayout) -> int:
    """Monitor until SIGTERM or ^C; prints the address of the page. While another monitor is at work this one waits.

    Returns:
        0.

    Raises:
        ConfigError: The port is taken.
        RetryableError: The store cannot be opened.
    """
    settings, stop = config.monitoring, threading.Event()
    with stopped_by_signals(stop), open_store(store_address(config.store.url, home.serving_database)) as store:
        monitor = Monitor(store, ModelRepository(home.models), config.name, settings)
        with served_page(monitor.page, settings.bind_address, settings.port) as port:
            print(f"monitor  http://{settings.bind_address}:{port}{METRICS_PATH}", flush=True)
            try:
                _go_on(monitor, stop, interval_s=duration_s(settings.interval), lease_s=duration_s(settings.lease))
            finally:
                # Whatever ends this one: the next need not wait for the end of its lease.
                monitor.close()
    return int(ExitCode.DONE)


@contextmanager
def served_page(page: MonitorPage, address: str, port: int) -> Iterator[int]:
    """Serve a page while the block runs; yields the port.

    Raises:
        ConfigError: The port is taken.
    """
    try:
        server, thread = start_http_server(port, address, page.registry())
    except OSError as error:
        raise ConfigError(
            f"monitoring.bind_address and monitoring.port must be free, found {address}:{port}: {error.strerror}; name another port"
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _go_on(monitor: Monitor, stop: threading.Event, *, interval_s: float, lease_s: float) -> None:
    waits_for = ""
    while not stop.is_set():
        found = monitor.round()
        if found.owner is not None and found.owner != waits_for:
            print(f"waiting: {found.owner} monitors", file=sys.stderr, flush=True)
        elif found.owner is None and waits_for:
            print("this monitor has taken over", file=sys.stderr, flush=True)
        waits_for = found.owner or ""
        left_s = interval_s
        while left_s > 0 and not stop.wait(min(left_s, lease_s / 3)):
            left_s -= lease_s / 3
            if left_s > 0:
                monitor.renew()


def _print(found: MonitorRoundReport, scores: Sequence[LiveScoreReport], *, as_json: bool) -> None:
    drift = None if found.drift is None else asdict(found.drift)
    accuracy = None if found.accuracy is None else asdict(found.accuracy)
    if as_json:
        print(json.dumps({"round": accuracy, "scores": [asdict(one) for one in scores], "drift": drift}, indent=1))
        return
    print(
        f"{'version':>7} {'role':<10} {'horizon':<9} {'points':>9} {'MAE':>12} {'WAPE':>7} {'bias':>12} {'skill':>7}  coverage"
    )
    for one in scores:
        coverage = ", ".join(f"{share}: {value:.1%}" for share, value in one.coverage.items())
        print(
            f"{one.version:>7} {one.role:<10} {one.horizon:<9} {one.n_points:>9} {one.mae:>12.6g} {_share(one.wape):>7} "
            f"{one.bias:>12.6g} {_share(one.skill):>7}  {coverage}"
        )
    if not scores:
        print("nothing is scored yet: a forecast is, once an actual came after it was made", file=sys.stderr)
    for name, column in (found.drift.columns if found.drift else {}).items():
        for reference, measured in column.drift.items():
            print(
                f"drift of {name} against {reference}: PSI {measured.psi:.3f}, KS {measured.ks:.3f}, {column.n} values"
            )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
