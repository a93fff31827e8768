"""What is done to the watched service, one after another, and what must come of it."""

from tests.integration.services.watched.stack import MODEL, WatchedStack
from tests.integration.services.watched.story import FaultSpec


def _slow(stack: WatchedStack) -> None:
    stack.proxy.delay_s = 1.5


def _refuse(stack: WatchedStack) -> None:
    stack.proxy.delay_s = 0
    stack.runs.tell_refused()


def _refuse_table(stack: WatchedStack) -> None:
    stack.runs.tell_refused_table()


def _drift(stack: WatchedStack) -> None:
    stack.clients.is_drifted = True


def _stop_data(stack: WatchedStack) -> None:
    stack.clients.has_data = False


def _promote(stack: WatchedStack) -> None:
    """The candidate becomes champion."""
    stack.repository.promote(MODEL, 2)
    stack.repository.write_server_config()


def _be_strange(stack: WatchedStack) -> None:
    stack.clients.is_strange = True


def _kill_server(stack: WatchedStack) -> None:
    stack.clients.is_strange, stack.clients.insists = False, True
    stack.server.process.kill()


def _kill_worker(stack: WatchedStack) -> None:
    stack.worker.kill()
    assert stack.clients.send("/v1/retrain", {"reason": "nobody will do it"}) in (200, 202)


def _kill_monitor(stack: WatchedStack) -> None:
    stack.monitor.kill()


_NOT_SCORED = frozenset({"ForecastActualsMissing"})
_MISSED = frozenset({"ForecastServingDown"})
"""A page that waits for what hangs may miss a scrape of a second."""

FAULTS = {
    "slow": FaultSpec(_slow, frozenset({"ForecastLatencyBudgetBurn"}), may=_MISSED),
    "refused": FaultSpec(_refuse, may=_MISSED),
    "bad table": FaultSpec(_refuse_table, frozenset({"ForecastDataRejected"})),
    "drifted": FaultSpec(
        _drift,
        frozenset({"ForecastAccuracyDegraded", "ForecastFeatureDrift"}),
        until="model_level:forecast_interval_coverage:increase1d < 0.4",
    ),
    "no data": FaultSpec(_stop_data, frozenset({"ForecastDataStale"}) | _NOT_SCORED, inhibited=_NOT_SCORED),
    "strange": FaultSpec(_be_strange, until="sum(forecast_worker_runs_total) > 0"),
    "promoted": FaultSpec(_promote),
    "no server": FaultSpec(
        _kill_server, frozenset({"ForecastServingDown", "ForecastAnsweredByFallback", "ForecastErrorBudgetBurn"})
    ),
    "no worker": FaultSpec(_kill_worker, frozenset({"ForecastWorkerDown"})),
    "no monitor": FaultSpec(_kill_monitor, frozenset({"ForecastMonitorDown"})),
}
