"""Which models are served from where, in which versions: `ModelServerConfig` and version policies.

Rules and texts follow model_servers/server_core.cc and sources/storage_path of TensorFlow Serving.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecasting.wire.messages import ModelServerConfig
from serving.model_server.status import RequestError, StatusCode, invalid
from serving.model_server.text_files import read_text_file

logger = logging.getLogger(__name__)

TENSORFLOW = "tensorflow"
_VERSION_NAME = re.compile(r"[+-]?[0-9]+")
_MAX_VERSION = 2**63


@dataclass(frozen=True)
class VersionPolicySpec:
    """Versions to serve: those named, all, or the highest `latest`."""

    latest: int = 1
    every: bool = False
    specific: tuple[int, ...] | None = None

    def wanted(self, present: Iterable[int]) -> tuple[int, ...]:
        """The versions of `present` to serve, ascending."""
        ordered = sorted(present)
        if self.specific is not None:
            return tuple(version for version in ordered if version in self.specific)
        return tuple(ordered if self.every else ordered[-self.latest :])


@dataclass(frozen=True)
class ServedModelSpec:
    """One model of the server's configuration."""

    name: str
    base_path: Path
    policy: VersionPolicySpec = VersionPolicySpec()
    labels: Mapping[str, int] = field(default_factory=dict)


def read_model_config(path: Path) -> tuple[ServedModelSpec, ...]:
    """Read a `--model_config_file` (protobuf text format).

    Raises:
        RequestError: The file cannot be read or is no usable ModelServerConfig.
    """
    return specs_of(read_text_file(path, ModelServerConfig))


def specs_of(message: Any) -> tuple[ServedModelSpec, ...]:
    """The models of a `ModelServerConfig` message.

    Raises:
        RequestError: A name is used twice, a base path is not absolute, or the platform is not TensorFlow.
    """
    if message.HasField("custom_model_config"):
        raise invalid("ModelServer does not yet support custom model config.")
    names: set[str] = set()
    for entry in message.model_config_list.config:
        if entry.name in names:
            raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
        names.add(entry.name)
    for entry in message.model_config_list.config:
        if not Path(entry.base_path).is_absolute():
            raise invalid(
                f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}"
            )
    return tuple(_spec(entry) for entry in message.model_config_list.config)


def platform_of(entry: Any) -> str:
    """The platform of a `ModelConfig` message, which may also use the old field `model_type`.

    Raises:
        RequestError: INVALID_ARGUMENT: it has none, or both fields.
    """
    if entry.model_type:
        if entry.model_platform:
            raise invalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
                f"model name is {entry.name}"
            )
        if entry.model_type != 1:
            raise invalid(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
        return TENSORFLOW
    if not entry.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {entry.name}"
        )
    return str(entry.model_platform)


def require_same_platforms(served: Iterable[str], message: Any) -> None:
    """Check that no served model changes its platform.

    Raises:
        RequestError: INVALID_ARGUMENT: one does.
    """
    names = set(served)
    for entry in message.model_config_list.config:
        if entry.name in names and (platform := platform_of(entry)) != TENSORFLOW:
            raise invalid(
                f"Illegal to change a model's platform. For model {entry.name} platform was {TENSORFLOW} and new platform "
                f"requested is {platform}"
            )


def _spec(entry: Any) -> ServedModelSpec:
    platform = platform_of(entry)
    if platform != TENSORFLOW:
        raise invalid(f"Model {entry.name} requests unsupported platform {platform}")
    if not entry.name:
        raise invalid("every model of the configuration must have a name")
    policy = _policy(entry.model_version_policy)
    return ServedModelSpec(entry.name, Path(entry.base_path), policy, dict(entry.version_labels))


def _policy(message: Any) -> VersionPolicySpec:
    match message.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicySpec(every=True)
        case "specific":
            return VersionPolicySpec(specific=tuple(message.specific.versions))
        case "latest":
            return VersionPolicySpec(latest=message.latest.num_versions or 1)
        case _:
            return VersionPolicySpec()


def present_versions(base_path: Path) -> dict[int, Path]:
    """Version directories: children whose names are whole numbers; anything else is ignored.

    Raises:
        RequestError: INVALID_ARGUMENT: the base path or a version cannot be looked at, which must not count as "no versions".
    """
    try:
        # One that cannot be looked at (no permission, a stale mount) must not count as gone.
        children = [
            child for child in sorted(base_path.iterdir()) if _VERSION_NAME.fullmatch(child.name) and child.is_dir()
        ]
    except OSError as error:
        where = "" if error.filename in (None, str(base_path)) else f" ({error.filename})"
        raise invalid(f"Could not find base path {base_path}: {error.strerror or error}{where}") from error
    found: dict[int, Path] = {}
    for child in children:
        version = int(child.name)
        if not -_MAX_VERSION <= version < _MAX_VERSION:
            continue
        if version in found:
            logger.warning("version %d is loaded from %s; %s is ignored", version, child, found[version])
        found[version] = child
    return found


def require_labels(
    specs: Sequence[ServedModelSpec],
    *,
    available: Mapping[str, frozenset[int]],
    before: Mapping[str, Mapping[str, int]],
    allow_unavailable: bool,
) -> None:
    """Check that labels point to available versions.

    Args:
        specs: The new configuration.
        available: Available versions by model.
        before: Labels so far by model.
        allow_unavailable: Whether a label that does not exist yet may point to a version that is not available yet.

    Raises:
        RequestError: FAILED_PRECONDITION: one does not.
    """
    for spec in specs:
        for label, version in spec.labels.items():
            old = before.get(spec.name, {}).get(label)
            allowed = allow_unavailable and old in (None, version)
            if not allowed and version not in available.get(spec.name, frozenset()):
                raise RequestError(
                    StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {spec.name}, which is not currently "
                    "available for inference",
                )
