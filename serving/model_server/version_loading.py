"""Load one version: backend, signatures, batching parameters, warm-up. Runs on a loader's thread."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from serving.model_server.backends import Backend, BackendConfig, load_backend
from serving.model_server.batching import BatchingConfig, BatchQueues
from serving.model_server.metrics import LOAD_ATTEMPTS, LOAD_LATENCY, ServerMetrics
from serving.model_server.served_version import ServedVersion
from serving.model_server.signatures import ServedSignature
from serving.model_server.text_files import read_batching
from serving.model_server.warmup import WarmupReport, warm_up

BATCHING_FILE = "batching_params.pbtxt"


@dataclass(frozen=True)
class LoadingConfig:
    """How versions are loaded."""

    backend: BackendConfig = field(default_factory=BackendConfig)
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
    """Load a version and warm it up.

    Raises:
        RequestError: It must not be served.
    """
    batching = _batching(path, config)
    backend = load_backend(path, config.backend)
    with ExitStack() as undoing:
        undoing.callback(backend.close)
        signatures = {key: ServedSignature.of(key, message) for key, message in backend.signatures.items()}
        warmed = WarmupReport()
        if config.warm_up:
            warmed = warm_up(backend, signatures, path, n_iterations=config.n_warmup_iterations)
        undoing.pop_all()
    return LoadedVersion(backend, signatures, batching, warmed)


def record_load(metrics: ServerMetrics, path: Path, error: BaseException | None, seconds: float) -> None:
    """Count an attempt to load."""
    metrics.count(LOAD_ATTEMPTS, str(path), "success" if error is None else "fail")
    metrics.count(LOAD_LATENCY, str(path), by=int(seconds * 1e6))


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
