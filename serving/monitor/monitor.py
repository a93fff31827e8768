"""One monitor: claims the lease, and as long as it has it scores, measures drift and shows both."""

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from forecasting.config.monitoring import MonitoringConfig
from forecasting.contracts import metric_names
from forecasting.contracts.metric_spec import MetricSpec
from forecasting.durations import duration_s
from forecasting.errors import AlmanacError, RetryableError
from forecasting.metrics.registry import intervals
from forecasting.monitoring.backtest_wape import backtest_wape
from forecasting.monitoring.drift import DriftReport
from forecasting.monitoring.horizons import horizon_buckets
from forecasting.repository import ModelRepository
from forecasting.revision import code_revision
from forecasting.store.live_scores import MonitorLease, claim_lease, release_lease
from forecasting.store.opening import Store
from forecasting.store.retrain_requests import count_requests
from forecasting.version import VERSION
from serving.monitor.drift import ModelDriftReport, measure_model
from serving.monitor.live_accuracy import LiveAccuracy, RoundReport, first_origin
from serving.monitor.page import Gauges, MonitorPage, ServedPartsSpec
from serving.monitor.scoring import model_key
from serving.monitor.watched_model import WatchedModelSpec, watched_model

logger = logging.getLogger(__name__)
DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class MonitorRoundReport:
    """What one call came to. owner: who monitors instead, none where this one does.

    problem: why the round failed, or empty; where there is a report of the accuracy as well, drift alone did.
    """

    owner: str | None = None
    accuracy: RoundReport | None = None
    drift: ModelDriftReport | None = None
    problem: str = ""


class Monitor:
    """Monitors one model; times are epoch seconds of `clock`."""

    def __init__(
        self, store: Store, repository: ModelRepository, name: str, settings: MonitoringConfig, *,
        clock: Callable[[], float] = time.time, owner: str | None = None,
    ) -> None:  # fmt: skip
        """Claim nothing yet; owner: what the lease calls this monitor, none for a name of its own."""
        self._store, self._repository, self._name, self._settings = store, repository, name, settings
        self._clock = clock
        self._lease = MonitorLease(name, owner or unique_owner(), duration_s(settings.lease))
        late_s = duration_s(settings.late)
        self.accuracy = LiveAccuracy(
            store, self._lease, late_s=late_s, last_steps=settings.horizon_buckets, clock=clock
        )
        self.page = MonitorPage(name)
        self._drift: ModelDriftReport | None = None
        self._drift_of: tuple[object, ...] = ()
        self._drift_at: int | None = None
        self._has_lease = False
        self._last_round: float | None = None
        revision = code_revision().text or "unknown"
        self.page.show("build", {(metric_names.BUILD_INFO.name, (VERSION, revision)): 1.0})
        self._show_active(False)

    def round(self, *, everything: bool = False) -> MonitorRoundReport:
        """Claim or renew the lease, and score and measure where it is ours; what goes wrong is logged and counted.

        Args:
            everything: Look at all forecasts of the store, and measure drift now.
        """
        begun, begun_s = self._clock(), time.monotonic()
        try:
            owner = claim_lease(self._store, self._lease, now=int(begun))
            if owner is not None:
                self._stand_by()
                return MonitorRoundReport(owner=owner)
            if not self._has_lease:
                self.accuracy.forget()
            self._has_lease = True
            self._show_active(True)
            if self._last_round is None:
                # Else a monitor that fails from its beginning would show no time that an alert could find too old.
                self._show_round(begun)
            found = self._watch(int(begun), everything=everything)
        except (AlmanacError, DBAPIError) as error:
            self.accuracy.forget()
            found = MonitorRoundReport(problem=self._told(error))
        if found.problem:
            logger.warning("the round failed, the next one goes on: %s", found.problem)
            self.page.count(metric_names.MONITOR_ROUNDS, FAILED)
            return found
        self.page.count(metric_names.MONITOR_ROUNDS, DONE)
        took_s = time.monotonic() - begun_s
        self._show_round(self._clock(), {(metric_names.MONITOR_ROUND_DURATION.name, ()): took_s})
        return found

    def renew(self) -> None:
        """Say between rounds that this monitor lives; whoever lost its lease learns it in its next round."""
        if not self._has_lease:
            return
        try:
            claim_lease(self._store, self._lease, now=int(self._clock()))
        except RetryableError as error:
            logger.warning("the lease is not renewed: %s", error)

    def close(self) -> None:
        """Give the lease back."""
        try:
            release_lease(self._store, self._lease)
        except RetryableError as error:
            logger.warning("the lease ends by itself: %s", error)

    def _watch(self, now: int, *, everything: bool) -> MonitorRoundReport:
        model = watched_model(self._repository, self._name)
        self._show_requests()
        if model is None:
            logger.info("there is no champion of %s yet", self._name)
            return MonitorRoundReport()
        accuracy = self.accuracy.round(model, everything=everything)
        self._show_accuracy(model, accuracy, now)
        try:
            drift = self._measure_drift(model, accuracy, now, at_once=everything)
        except (AlmanacError, DBAPIError) as error:
            return MonitorRoundReport(accuracy=accuracy, problem=f"drift could not be measured: {self._told(error)}")
        return MonitorRoundReport(accuracy=accuracy, drift=drift)

    def _told(self, error: Exception) -> str:
        return self._store.address.scrubbed(str(getattr(error, "orig", None) or error))

    def _measure_drift(
        self, model: WatchedModelSpec, accuracy: RoundReport, now: int, *, at_once: bool
    ) -> ModelDriftReport | None:
        of, last = (model.version, model.series_dir), accuracy.last_target
        # One that lies ahead was at a clock that has been set back since.
        is_due = self._drift_at is None or not 0 <= now - self._drift_at < duration_s(self._settings.drift_interval)
        if last is None or not (is_due or at_once or of != self._drift_of):
            return self._drift
        end = last + model.spec.step_s
        self._drift = measure_model(self._store, model, end=end, window_s=duration_s(self._settings.drift_window))
        self._drift_of, self._drift_at = of, now
        self.page.show("drift", {} if self._drift is None else drift_gauges(self._drift, now))
        return self._drift

    def _stand_by(self) -> None:
        """Show only what stays true while another monitor is at work: sums never fall, gauges would grow old."""
        self._has_lease = False
        self._drift, self._drift_at = None, None
        self._show_active(False)
        for group in ("drift", "accuracy", "requests"):
            self.page.show(group, {})

    def _show_active(self, is_active: bool) -> None:
        self.page.show("lease", {(metric_names.MONITOR_ACTIVE.name, ()): float(is_active)})

    def _show_round(self, last: float, more: Gauges | None = None) -> None:
        self._last_round = last
        self.page.show("round", {(metric_names.MONITOR_LAST_ROUND.name, ()): last, **(more or {})})

    def _show_requests(self) -> None:
        found = count_requests(self._store, self._name)
        gauges: Gauges = {(metric_names.RETRAIN_REQUESTS.name, (state.value,)): n for state, n in found.counts.items()}
        if found.oldest_open is not None:
            gauges[metric_names.RETRAIN_OLDEST.name, ()] = found.oldest_open
        self.page.show("requests", gauges)

    def _show_accuracy(self, model: WatchedModelSpec, accuracy: RoundReport, now: int) -> None:
        buckets = horizon_buckets(model.spec.horizon, self._settings.horizon_buckets)
        levels = model.spec.quantiles
        parts = ServedPartsSpec(
            model.roles,
            buckets.names,
            tuple(f"{level:g}" for level in levels),
            tuple(f"{high - low:g}" for low, high in intervals(levels)),
        )
        self.page.show_sums(self.accuracy.sums, parts, now=now)
        gauges: Gauges = {
            (metric_names.BACKTEST_WAPE.name, (str(version), role.value, bucket)): wape
            for role, version in model.roles.items()
            for bucket, wape in backtest_wape(self._repository.record(self._name, version), buckets).items()
        }
        last = {"table": accuracy.last_table, "observations": accuracy.last_observed}
        gauges |= {(metric_names.DATA_LAST.name, (name,)): time for name, time in last.items() if time is not None}
        gauges[metric_names.DATA_STEP.name, ()] = model.spec.step_s
        # Else forecasts that no actual ever meets would show no time that an alert could find too old.
        if model_key(metric_names.LAST_SCORED) not in self.accuracy.sums:
            first = first_origin(self._store, self._name)
            gauges |= {} if first is None else {(metric_names.LAST_SCORED.name, ()): first}
        self.page.show("accuracy", gauges)


def drift_gauges(drift: ModelDriftReport, now: int) -> Gauges:
    """What a measurement of drift shows."""
    found: Gauges = {(metric_names.DRIFT_LAST_RUN.name, ()): now}
    for name, column in drift.columns.items():
        found[metric_names.DRIFT_POINTS.name, (name,)] = column.n
        if column.missing_ratio == column.missing_ratio:
            found[metric_names.MISSING_RATIO.name, (name,)] = column.missing_ratio
        for reference, one in column.drift.items():
            found |= _of(one, name, reference, psi=metric_names.DRIFT_PSI, ks=metric_names.DRIFT_KS)
    for reference, one in drift.predictions.items():
        found[metric_names.PREDICTION_DRIFT_PSI.name, (reference,)] = one.psi
    return found


def _of(drift: DriftReport, *labels: str, psi: MetricSpec, ks: MetricSpec) -> Gauges:
    return {(psi.name, labels): drift.psi, (ks.name, labels): drift.ks}


def unique_owner() -> str:
    """A name of this monitor that no other has: host, process, and a random end."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
