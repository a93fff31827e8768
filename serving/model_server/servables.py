"""Versions and their life: START, LOADING, AVAILABLE, UNLOADING, END.

Everything here runs on the event loop's thread, so no lock guards the tables; loading and closing
run on a thread of their own. A version that is no longer wanted is dropped only once a wanted one
is available, and only when its last request has been answered.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecasting.wire.messages import VersionState
from serving.model_server.backends import Arrays, Backend, load_backend
from serving.model_server.metrics import WARMUP_LATENCY, WARMUP_RECORDS, ServerMetrics
from serving.model_server.model_specs import ServedModelSpec, present_versions
from serving.model_server.status import RequestError, StatusCode, invalid
from serving.model_server.warmup import WarmupReport, warm_up

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadingConfig:
    """How versions are loaded."""

    prefer_tflite: bool = False
    threads: int = 1
    n_workers: int = 4
    max_retries: int = 5
    retry_interval_s: float = 60.0


@dataclass(eq=False)
class ServedVersion:
    """One version of one model, its state and its backend while it is loaded."""

    name: str
    version: int
    path: Path
    state: VersionState = VersionState.START
    error_code: StatusCode = StatusCode.OK
    error_message: str = ""
    backend: Backend | None = None
    n_in_flight: int = 0
    n_failures: int = 0
    retry_at_s: float = 0.0
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def failed(self) -> bool:
        """Whether loading it was given up."""
        return self.state == VersionState.END and self.error_code != StatusCode.OK


class ServableManager:
    """Keeps what is loaded equal to what the configuration and the disk say."""

    def __init__(self, loading: LoadingConfig, metrics: ServerMetrics) -> None:
        """Start with no model."""
        self._loading = loading
        self._metrics = metrics
        self._specs: dict[str, ServedModelSpec] = {}
        self._versions: dict[str, dict[int, ServedVersion]] = {}
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")
        self._workers = ThreadPoolExecutor(max_workers=loading.n_workers, thread_name_prefix="model")
        self._busy = asyncio.Lock()

    @property
    def specs(self) -> tuple[ServedModelSpec, ...]:
        """The configured models."""
        return tuple(self._specs.values())

    async def configure(self, specs: tuple[ServedModelSpec, ...]) -> None:
        """Replace the whole set of models; models no longer named are unloaded. Returns when loading is done."""
        self._specs = {spec.name: spec for spec in specs}
        await self.poll()

    async def poll(self) -> None:
        """Look at the disk once: load what is new and wanted, then drop what is not."""
        async with self._busy:
            for spec in self.specs:
                await self._poll_model(spec)
            for name in [name for name in self._versions if name not in self._specs]:
                await self._unload(list(self._versions[name].values()))

    def ready(self) -> bool:
        """Whether there is a model and every configured one has an available version."""
        return bool(self._specs) and all(self._available(name) for name in self._specs)

    def versions(self, name: str) -> tuple[ServedVersion, ...]:
        """Every version that was ever wanted, highest first."""
        return tuple(sorted(self._versions.get(name, {}).values(), key=lambda served: -served.version))

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ServedVersion:
        """The version that answers a request: the one named, the labelled one, else the highest available.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        if label:
            spec = self._specs.get(name)
            if spec is None or label not in spec.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = spec.labels[label]
        available = self._available(name)
        if version is None:
            if not available:
                raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
            return max(available, key=lambda served: served.version)
        for served in available:
            if served.version == version:
                return served
        raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: Specific({name}, {version})")

    async def run(self, served: ServedVersion, signature: Any, feeds: Arrays, fetches: tuple[str, ...]) -> Arrays:
        """Run a version on a worker thread.

        The version counts as in use until the thread is done, even where the caller gave up before:
        a session must not be closed under a call.

        Raises:
            RequestError: The model refuses the input, or the version is going away.
        """
        backend = served.backend
        if backend is None:
            raise RequestError(StatusCode.UNAVAILABLE, f"version {served.version} of {served.name} is being unloaded")
        served.n_in_flight += 1
        call = asyncio.get_running_loop().run_in_executor(self._workers, backend.run, signature, feeds, fetches)
        call.add_done_callback(lambda _: _release(served))
        return await asyncio.shield(call)

    def close(self) -> None:
        """Close every backend; no request may be running."""
        for versions in self._versions.values():
            for served in versions.values():
                if served.backend is not None:
                    served.backend.close()
                    served.backend = None
        self._loader.shutdown()
        self._workers.shutdown()

    def _available(self, name: str) -> list[ServedVersion]:
        return [served for served in self._versions.get(name, {}).values() if served.state == VersionState.AVAILABLE]

    async def _poll_model(self, spec: ServedModelSpec) -> None:
        present = present_versions(spec.base_path)
        wanted = spec.policy.wanted(present)
        known = self._versions.setdefault(spec.name, {})
        for version in wanted:
            served = known.get(version)
            if served is None or (served.state == VersionState.END and not served.failed):
                served = known[version] = ServedVersion(spec.name, version, present[version])
            if served.state in (VersionState.START, VersionState.LOADING) and time.monotonic() >= served.retry_at_s:
                await self._load(served)
        if not wanted or any(known[version].state == VersionState.AVAILABLE for version in wanted):
            await self._unload([served for version, served in known.items() if version not in wanted])

    async def _load(self, served: ServedVersion) -> None:
        served.state = VersionState.LOADING
        loading = asyncio.get_running_loop().run_in_executor(self._loader, self._load_warm, served.path)
        await asyncio.wait([loading])
        error = loading.exception()
        if error is not None:
            # Whatever a damaged file makes a runtime raise, the other versions go on being served.
            self._record_failure(served, error)
            return
        backend, warmed = loading.result()
        served.backend, served.state = backend, VersionState.AVAILABLE
        served.error_code, served.error_message = StatusCode.OK, ""
        if warmed.n_records:
            self._metrics.observe(WARMUP_LATENCY, warmed.duration_s * 1e6, str(served.path), "OK")
            self._metrics.count(WARMUP_RECORDS, str(served.path), by=warmed.n_records)
        logger.info(
            "model %s version %d is available (%d warm-up records)", served.name, served.version, warmed.n_records
        )

    def _load_warm(self, path: Path) -> tuple[Backend, WarmupReport]:
        backend = load_backend(path, prefer_tflite=self._loading.prefer_tflite, threads=self._loading.threads)
        try:
            return backend, warm_up(backend, path)
        except RequestError:
            backend.close()
            raise

    def _record_failure(self, served: ServedVersion, error: BaseException) -> None:
        served.n_failures += 1
        served.error_code = error.code if isinstance(error, RequestError) else StatusCode.INTERNAL
        served.error_message = str(error) if isinstance(error, RequestError) else f"{type(error).__name__}: {error}"
        if served.n_failures > self._loading.max_retries:
            served.state = VersionState.END
        else:
            served.retry_at_s = time.monotonic() + self._loading.retry_interval_s
        logger.error(
            "model %s version %d cannot be loaded (%d. time): %s", served.name, served.version, served.n_failures, error
        )

    async def _unload(self, dropped: list[ServedVersion]) -> None:
        for served in dropped:
            if served.state != VersionState.AVAILABLE:
                if served.failed or served.state in (VersionState.START, VersionState.LOADING):
                    # Not wanted any more: forget the failure, so that the version may be tried again if it comes back.
                    served.state, served.error_code = VersionState.END, StatusCode.OK
                continue
            served.state = VersionState.UNLOADING
            backend, served.backend = served.backend, None
            while served.n_in_flight:
                served.drained.clear()
                await served.drained.wait()
            if backend is not None:
                await asyncio.get_running_loop().run_in_executor(self._loader, backend.close)
            served.state = VersionState.END
            logger.info("model %s version %d is unloaded", served.name, served.version)


def _release(served: ServedVersion) -> None:
    served.n_in_flight -= 1
    if served.n_in_flight == 0:
        served.drained.set()
