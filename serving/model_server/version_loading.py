"""Load one version: admission, backend, signatures, batching parameters, warm-up. Runs on a loader's thread."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from forecasting.admission.loading import AdmissionConfig, admit
from forecasting.errors import VersionRefusedError
from serving.model_server.backends import Backend, BackendConfig, load_backend
from serving.model_server.batching import BatchingConfig, BatchQueues
from serving.model_server.metrics import LOAD_ATTEMPTS, LOAD_LATENCY, OWN_LOAD_FAILURES, ServerMetrics
from serving.model_server.served_version import ServedVersion
from serving.model_server.signatures import ServedSignature
from serving.model_server.status import LoadRefusedError, RequestError, StatusCode
from serving.model_server.text_files import read_batching
from serving.model_server.warmup import WarmupReport, warm_up

BATCHING_FILE = "batching_params.pbtxt"
UNLOADABLE = "unloadable"
"""Reason of a failure that is neither a refusal nor the warm-up's: what a damaged file makes a runtime raise."""


@dataclass(frozen=True)
class LoadingConfig:
    """How versions are loaded."""

    backend: BackendConfig = field(default_factory=BackendConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    n_threads: int = 2
    max_retries: int = 5
    retry_interval_s: float = 60.0
    warm_up: bool = True
    n_warmup_iterations: int = 1
    allow_labels_for_unavailable: bool = False
    batching: BatchingConfig | None = None
    batching_per_model: bool = False
    make_queues: Callable[[ServedVersion, BatchingConfig], BatchQueues] | None = None


@dataclass(frozen=True)
class LoadedVersion:
    """What loading a version gave."""

    backend: Backend
    signatures: Mapping[str, ServedSignature]
    batching: BatchingConfig | None
    warmed: WarmupReport


def load_version(path: Path, config: LoadingConfig) -> LoadedVersion:
    """Check that a version may be loaded, load it and warm it up.

    Raises:
        RequestError: It must not be served.
    """
    try:
        admit(path, config.admission, prefer_lite=config.backend.prefer_tflite)
    except VersionRefusedError as error:
        raise LoadRefusedError(error.reason, StatusCode.FAILED_PRECONDITION, str(error)) from error
    batching = _batching(path, config)
    backend = load_backend(path, config.backend)
    with ExitStack() as undoing:
        undoing.callback(backend.close)
        signatures = {key: ServedSignature.of(key, message) for key, message in backend.signatures.items()}
        warmed = WarmupReport()
        if config.warm_up:
            try:
                warmed = warm_up(backend, signatures, path, n_iterations=config.n_warmup_iterations)
            except RequestError as error:
                raise LoadRefusedError("warm_up", error.code, error.message) from error
        undoing.pop_all()
    return LoadedVersion(backend, signatures, batching, warmed)


def record_load(metrics: ServerMetrics, served: ServedVersion, error: BaseException | None, seconds: float) -> None:
    """Count an attempt to load, and why it failed."""
    metrics.count(LOAD_ATTEMPTS, str(served.path), "success" if error is None else "fail")
    metrics.count(LOAD_LATENCY, str(served.path), by=int(seconds * 1e6))
    if error is not None:
        reason = error.reason if isinstance(error, LoadRefusedError) else UNLOADABLE
        metrics.count(OWN_LOAD_FAILURES, served.name, reason)


def _batching(path: Path, config: LoadingConfig) -> BatchingConfig | None:
    if config.batching is None:
        return None
    found = config.batching
    if config.batching_per_model:
        file = path / BATCHING_FILE
        if not file.is_file():
            return None
        found, _ = read_batching(file)
    found.require_consistent()
    return found
