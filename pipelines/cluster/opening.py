"""The cluster that a configuration names, ready to be asked."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from forecasting.cluster_api.address import address_in_pod
from forecasting.cluster_api.session import ApiAddressSpec, ApiSession
from forecasting.config import AlmanacConfig
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.errors import ConfigError
from pipelines.cluster.argo_backend import ArgoBackend
from pipelines.cluster.backend import ClusterBackend
from pipelines.cluster.kfp_backend import KfpBackend


@contextmanager
def open_cluster(
    config: AlmanacConfig, *, host: str | None = None, pinned: bool = True, settings: ClusterApiConfig | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[ClusterBackend]:  # fmt: skip
    """The backend of `cluster.backend`, whose connections are closed at the end.

    Args:
        config: The configuration.
        host: Goes before `cluster.api.url`.
        pinned: Refuse to submit images without digest.
        settings: How patiently it is asked; none: as cluster.api says. What is submitted keeps the configuration as it is.
        sleep: Waits between two tries of a request, seconds.

    Raises:
        ConfigError: The address is not known, or a file of its section cannot be used.
    """
    session = ApiSession(_address(config, host), settings or config.cluster.api, sleep=sleep)
    try:
        if config.cluster.backend == "argo":
            yield ArgoBackend(config, session, lambda: _argo_documents(config, pinned=pinned))
        else:
            yield KfpBackend(config, session, lambda: _kfp_package(config, pinned=pinned))
    finally:
        session.close()


def _address(config: AlmanacConfig, host: str | None) -> ApiAddressSpec:
    api = config.cluster.api
    url, token, certificates = host or api.url, _path(api.token_file), _path(api.ca_file)
    if url is not None:
        return ApiAddressSpec(url.rstrip("/"), token, certificates)
    found = address_in_pod(token, certificates) if config.cluster.backend == "argo" else None
    if found is None:
        raise ConfigError("cluster.api.url, or --host, must say where the interface of the cluster is; found neither")
    return found


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _argo_documents(config: AlmanacConfig, *, pinned: bool) -> list[dict[str, Any]]:
    # Imported here: looking at runs and stopping one needs no compiler, which takes seconds to import.
    from pipelines.cluster.compiled import compiled_argo

    return list(yaml.safe_load_all(compiled_argo(config, pinned=pinned)))


def _kfp_package(config: AlmanacConfig, *, pinned: bool) -> dict[str, Any]:
    from pipelines.cluster.compiled import compiled_kfp

    spec, platform = yaml.safe_load_all(compiled_kfp(config, pinned=pinned))
    return {"pipeline_spec": spec, "platform_spec": platform}
