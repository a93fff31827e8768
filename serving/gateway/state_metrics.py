"""What the gateway serves, as gauges: read from the repository and the forecaster when the page is asked for."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Gauge

from forecasting.answering.served_model import ServedModel
from forecasting.contracts import metric_names
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import AlmanacError, ArtifactError, ConfigError
from forecasting.repository import SERIES_KEY, ModelRepository
from forecasting.revision import code_revision
from forecasting.version import VERSION
from serving.gateway.version_facts import roles_document
from serving.prometheus_metrics import counter, gauge

STATES = ("ready", "degraded", "none")
UNKNOWN = "unknown"
_DIGEST_CHARACTERS = 12
_LOAD_REASONS: dict[type[AlmanacError], str] = {ArtifactError: "artifact", ConfigError: "configuration"}
_OTHER_REASON = "other"


class StateMetrics:
    """Gauges of the versions in a role and of the champion."""

    def __init__(self, registry: CollectorRegistry, model: str | None = None) -> None:
        """Nothing is known but the build, and that no version of a configured model failed to load yet."""
        self._version = gauge(metric_names.MODEL_VERSION, registry)
        self._info = gauge(metric_names.MODEL_INFO, registry)
        self._state = gauge(metric_names.MODEL_STATE, registry)
        self._cutoff = gauge(metric_names.MODEL_CUTOFF, registry)
        self._data_end = gauge(metric_names.MODEL_DATA_END, registry)
        self._trained = gauge(metric_names.MODEL_TRAINED, registry)
        self._loaded = gauge(metric_names.MODEL_LOADED, registry)
        self._load_duration = gauge(metric_names.MODEL_LOAD_DURATION, registry)
        self._load_failures = counter(metric_names.MODEL_LOAD_FAILURES, registry)
        for reason in (*_LOAD_REASONS.values(), _OTHER_REASON) if model is not None else ():
            self._load_failures.labels(model, reason)
        self._loads: dict[int, tuple[float, float]] = {}
        self._data_ends: dict[int, int | None] = {}
        self._published: dict[int, float] = {}
        gauge(metric_names.BUILD_INFO, registry).labels(VERSION, code_revision().text or UNKNOWN).set(1)

    def measured(self, model: str, load: Callable[[int], ServedModel]) -> Callable[[int], ServedModel]:
        """The same function, whose time and failures are counted."""

        def measure(version: int) -> ServedModel:
            begun = time.perf_counter()
            try:
                found = load(version)
            except AlmanacError as error:
                self._load_failures.labels(model, _LOAD_REASONS.get(type(error), _OTHER_REASON)).inc()
                raise
            self._loads[version] = (time.time(), time.perf_counter() - begun)
            return found

        return measure

    def show_roles(self, repository: ModelRepository, model: str) -> None:
        """Show the versions in a role; one that was given up is shown no more.

        Raises:
            ArtifactError: The roles or a record cannot be read.
        """
        roles: dict[str, int] = {}
        records: dict[str, Mapping[str, Any]] = {}
        try:
            roles = {role: one for role, one in roles_document(repository, model).items() if one is not None}
            records = {role: repository.record(model, version) for role, version in roles.items()}
        finally:
            # Only now: reading takes a while, and nothing may be shown of roles that cannot be read.
            for one in (self._version, self._info, self._trained):
                one.clear()
        for role, version in roles.items():
            self._version.labels(model, role).set(version)
            digest = str(records[role].get(SERIES_KEY) or UNKNOWN)[:_DIGEST_CHARACTERS]
            self._info.labels(model, version, role, records[role].get("revision") or UNKNOWN, digest).set(1)
        if ModelRole.CHAMPION in roles:
            self._show_published(repository, model, roles[ModelRole.CHAMPION])

    def show_served(self, served: ServedModel | None) -> None:
        """Show the champion that answers; none: there is none."""
        for one in (self._cutoff, self._data_end, self._loaded, self._load_duration):
            one.clear()
        if served is None:
            return
        labels = (served.name, served.version)
        self._cutoff.labels(*labels).set(served.cutoff)
        if served.version not in self._data_ends:
            self._data_ends = {served.version: _data_end(served)}
        _set(self._data_end, labels, self._data_ends[served.version])
        if served.version in self._loads:
            at, seconds = self._loads[served.version]
            self._loaded.labels(*labels).set(at)
            self._load_duration.labels(*labels).set(seconds)

    def show_state(self, model: str, state: str) -> None:
        """Show who answers: one of `STATES`."""
        for one in STATES:
            self._state.labels(model, one).set(one == state)

    def _show_published(self, repository: ModelRepository, model: str, champion: int) -> None:
        """Show when the champion was made; of a candidate or the one before it would hide that the champion is old."""
        if champion not in self._published:
            for line in reversed(repository.audit(model)):
                if line.version is not None:
                    self._published[line.version] = line.time
        if champion in self._published:
            self._trained.labels(model, champion).set(self._published[champion])


def _data_end(served: ServedModel) -> int | None:
    """The latest target of all series, epoch seconds."""
    ends = []
    for one in served.series.values():
        known = np.flatnonzero(np.isfinite(one.values[:, 0]))
        if len(known):
            ends.append(one.start + served.spec.step_s * int(known[-1]))
    return max(ends, default=None)


def _set(into: Gauge, labels: tuple[str, int], value: float | None) -> None:
    if value is not None:
        into.labels(*labels).set(value)
