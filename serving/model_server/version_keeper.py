"""Keeps what is loaded equal to what the configuration and the disk say.

States of a version: START, LOADING, AVAILABLE, UNLOADING, END. Everything here runs on the event
loop's thread, so no lock guards the tables; loading and closing run on threads of their own. A version
that is no longer wanted is dropped only once a wanted one is available, and closed only when its last
request has been answered.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from forecasting.wire.messages import VersionState
from serving.model_server.metrics import ServerMetrics
from serving.model_server.model_specs import ServedModelSpec, present_versions, require_labels
from serving.model_server.served_version import ServedVersion
from serving.model_server.status import RequestError, StatusCode, invalid
from serving.model_server.version_loading import LoadedVersion, LoadingConfig, load_version, record_load

logger = logging.getLogger(__name__)


class VersionKeeper:
    """The models, their versions and their labels."""

    def __init__(self, loading: LoadingConfig, metrics: ServerMetrics) -> None:
        """Start with no model."""
        self._loading, self._metrics = loading, metrics
        self._specs: dict[str, ServedModelSpec] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._versions: dict[str, dict[int, ServedVersion]] = {}
        self._wanted: dict[str, dict[int, ServedVersion]] = {}
        self._loader = ThreadPoolExecutor(max_workers=max(1, loading.n_threads), thread_name_prefix="loader")
        self._tasks: dict[ServedVersion, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    @property
    def specs(self) -> tuple[ServedModelSpec, ...]:
        """The configured models."""
        return tuple(self._specs.values())

    def check(self, specs: Sequence[ServedModelSpec]) -> None:
        """Check that a whole set of models could replace the present one.

        Raises:
            RequestError: FAILED_PRECONDITION: a label points to a version that is not available.
        """
        require_labels(
            specs,
            available={name: frozenset(one.version for one in self._available(name)) for name in self._versions},
            before=self._labels,
            allow_unavailable=self._loading.allow_labels_for_unavailable,
        )

    def configure(self, specs: Sequence[ServedModelSpec]) -> tuple[str, ...]:
        """Replace the whole set of models and begin to load; models no longer named are unloaded.

        Returns:
            Names that were not configured before.

        Raises:
            RequestError: See `check`; nothing is changed.
        """
        self.check(specs)
        new = tuple(spec.name for spec in specs if spec.name not in self._specs)
        self._specs = {spec.name: spec for spec in specs}
        self._labels = {spec.name: dict(spec.labels) for spec in specs}
        self.poll()
        return new

    def poll(self) -> None:
        """Look at the disk once, then begin what follows."""
        for spec in self.specs:
            try:
                self._look(spec)
            except RequestError as error:
                logger.warning("model %s: %s", spec.name, error.message)
        for name in self._versions:
            if name not in self._specs:
                self._wanted[name] = {}
        self._advance()

    async def wait_available(self, names: Sequence[str], timeout_s: float) -> None:
        """Wait until each model has an available version.

        Raises:
            RequestError: UNKNOWN: a version that is wanted ended in an error; DEADLINE_EXCEEDED: it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while missing := [name for name in names if not self._available(name)]:
            failed = [one for name in missing for one in self._wanted.get(name, {}).values() if one.failed]
            if failed:
                texts = ", ".join(
                    f"{{{{name: {one.name} version: {one.version}}} due to error: {one.error_code.name}: {one.error_message}}}"
                    for one in failed
                )
                raise RequestError(StatusCode.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{texts}}}")
            if time.monotonic() >= deadline:
                raise RequestError(
                    StatusCode.DEADLINE_EXCEEDED, f"model(s) did not become available in time: {', '.join(missing)}"
                )
            self._changed.clear()
            try:
                async with asyncio.timeout(min(1.0, max(0.0, deadline - time.monotonic()))):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def ready(self) -> bool:
        """Whether there is a model and every configured one has an available version."""
        return bool(self._specs) and all(self._available(name) for name in self._specs)

    def settled(self) -> bool:
        """Whether the disk was looked at and every version that is wanted is available or was given up."""
        states = [one for wanted in self._wanted.values() for one in wanted.values()]
        return bool(self._specs) and all(one.failed or one.state == VersionState.AVAILABLE for one in states)

    def versions(self, name: str) -> tuple[ServedVersion, ...]:
        """Every version that was ever wanted, highest first."""
        return tuple(sorted(self._versions.get(name, {}).values(), key=lambda served: -served.version))

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ServedVersion:
        """The version that answers a request: the one named, the labelled one, else the highest available.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT for an empty name or an unknown label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label is not None:
            labels = self._labels.get(name, {})
            if label not in labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = labels[label]
        known = self._versions.get(name, {})
        if version is not None:
            served = known.get(version)
            if served is None or served.state != VersionState.AVAILABLE:
                raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: Specific({name}, {version})")
            return served
        best: ServedVersion | None = None
        for served in known.values():
            if served.state == VersionState.AVAILABLE and (best is None or served.version > best.version):
                best = served
        if best is None:
            raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
        return best

    async def close(self) -> None:
        """Close the backends that nobody uses; one that still runs a call keeps its memory until the process ends."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        # What waits for a loader's thread is dropped, what loads is not waited for.
        self._loader.shutdown(wait=False, cancel_futures=True)
        for versions in self._versions.values():
            for served in versions.values():
                if served.backend is not None and not served.n_in_flight:
                    served.backend.close()
                    served.backend = None

    def _available(self, name: str) -> list[ServedVersion]:
        return [served for served in self._versions.get(name, {}).values() if served.state == VersionState.AVAILABLE]

    def _look(self, spec: ServedModelSpec) -> None:
        present = present_versions(spec.base_path)
        known, wanted = self._versions.setdefault(spec.name, {}), dict[int, ServedVersion]()
        before = self._wanted.get(spec.name, {})
        for version in spec.policy.wanted(present):
            served, path = known.get(version), present[version]
            # A version that failed is tried again only after it was not wanted for a while, its directory removed, say.
            ended = served is not None and served.state == VersionState.END
            gone = ended and served is not None and not (served.failed and version in before)
            moved = (
                served is not None and served.path != path and served.state in (VersionState.END, VersionState.START)
            )
            if served is None or gone or moved:
                served = known[version] = ServedVersion(spec.name, version, path)
            wanted[version] = served
        self._wanted[spec.name] = wanted

    def _advance(self) -> None:
        """Begin the loads and unloads that the wishes ask for."""
        for name, known in self._versions.items():
            wanted = self._wanted.get(name, {})
            for served in wanted.values():
                if served.state == VersionState.START:
                    self._begin(served, self._load(served))
            # What is available stays until a wanted version is, or nothing is wanted any more.
            replaced = not wanted or any(one.state == VersionState.AVAILABLE for one in wanted.values())
            for served in known.values():
                if served not in wanted.values():
                    self._drop(served, replaced=replaced)

    def _drop(self, served: ServedVersion, *, replaced: bool) -> None:
        if served.state == VersionState.AVAILABLE and replaced:
            served.state = VersionState.UNLOADING
            self._begin(served, self._unload(served))
        elif served.state == VersionState.LOADING and served.n_failures:
            # It waits for its next attempt, which nobody wants any more.
            self._tasks[served].cancel()
            served.state = VersionState.END

    def _begin(self, served: ServedVersion, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[served] = task
        task.add_done_callback(lambda done: self._finished(served, done))

    def _finished(self, served: ServedVersion, task: asyncio.Task[None]) -> None:
        if self._tasks.get(served) is task:
            del self._tasks[served]
        self._changed.set()
        if not task.cancelled() and task.exception() is None:
            self._advance()

    async def _load(self, served: ServedVersion) -> None:
        served.state = VersionState.LOADING
        loop = asyncio.get_running_loop()
        while True:
            start = time.perf_counter()
            loading = loop.run_in_executor(self._loader, load_version, served.path, self._loading)
            try:
                await asyncio.wait([loading])
            except asyncio.CancelledError:
                # Nobody wants it any more, and its thread goes on: what it makes must not stay in memory.
                loading.add_done_callback(_discard)
                raise
            error = loading.exception()
            record_load(self._metrics, served, error, time.perf_counter() - start)
            if error is None:
                self._take(served, loading.result())
                return
            # Whatever a damaged file makes a runtime raise, the other versions go on being served.
            if not self._note_failure(served, error):
                return
            if self._loading.retry_interval_s > 0:
                await asyncio.sleep(self._loading.retry_interval_s)

    def _take(self, served: ServedVersion, loaded: LoadedVersion) -> None:
        served.backend, served.signatures = loaded.backend, loaded.signatures
        if loaded.batching is not None and self._loading.make_queues is not None:
            served.queues = self._loading.make_queues(served, loaded.batching)
        served.error_code, served.error_message = StatusCode.OK, ""
        served.state = VersionState.AVAILABLE
        loaded.warmed.count(self._metrics, served.path)
        logger.info(
            "model %s version %d is available (%d warm-up records)",
            served.name,
            served.version,
            loaded.warmed.n_records,
        )

    def _note_failure(self, served: ServedVersion, error: BaseException) -> bool:
        """Remember a failed attempt; whether there will be another."""
        served.n_failures += 1
        served.error_code = error.code if isinstance(error, RequestError) else StatusCode.INTERNAL
        served.error_message = error.message if isinstance(error, RequestError) else f"{type(error).__name__}: {error}"
        logger.error(
            "model %s version %d cannot be loaded (%d. time): %s", served.name, served.version, served.n_failures, error
        )
        again = served.n_failures <= self._loading.max_retries
        if not again:
            served.state = VersionState.END
        return again

    async def _unload(self, served: ServedVersion) -> None:
        await served.wait_drained()
        backend, served.backend, served.queues = served.backend, None, None
        if backend is not None:
            await asyncio.get_running_loop().run_in_executor(self._loader, backend.close)
        served.state = VersionState.END
        logger.info("model %s version %d is unloaded", served.name, served.version)


def _discard(loading: asyncio.Future[LoadedVersion]) -> None:
    if not loading.cancelled() and loading.exception() is None:
        loading.result().backend.close()
