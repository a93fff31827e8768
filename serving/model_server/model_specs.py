"""Which models are served from where, in which versions: `ModelServerConfig` and version policies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from forecasting.errors import ConfigError
from forecasting.wire.messages import ModelServerConfig


@dataclass(frozen=True)
class VersionPolicySpec:
    """Versions to serve: those named, all, or the highest `latest`."""

    latest: int = 1
    every: bool = False
    specific: tuple[int, ...] = ()

    def wanted(self, present: Iterable[int]) -> tuple[int, ...]:
        """The versions of `present` to serve, ascending."""
        ordered = sorted(present)
        if self.specific:
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
        ConfigError: The file cannot be read or is no ModelServerConfig.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read --model_config_file {path}: {error}") from error
    try:
        message = text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        raise ConfigError(f"Error parsing text-format tensorflow.serving.ModelServerConfig: {path}: {error}") from error
    return specs_of(message)


def specs_of(message: Any) -> tuple[ServedModelSpec, ...]:
    """The models of a `ModelServerConfig` message.

    Raises:
        ConfigError: A name is empty or used twice, a base path is not absolute, or the platform is not TensorFlow.
    """
    specs: dict[str, ServedModelSpec] = {}
    for entry in message.model_config_list.config:
        if not entry.name or entry.name in specs:
            raise ConfigError(
                f"every model of the configuration must have a name of its own, found {entry.name!r} twice or empty"
            )
        if not Path(entry.base_path).is_absolute():
            raise ConfigError(f"base_path of model {entry.name!r} must be absolute, found {entry.base_path!r}")
        if entry.model_platform not in ("", "tensorflow"):
            raise ConfigError(
                f'model_platform of model {entry.name!r} must be "tensorflow", found {entry.model_platform!r}'
            )
        specs[entry.name] = ServedModelSpec(
            entry.name, Path(entry.base_path), _policy(entry.model_version_policy), dict(entry.version_labels)
        )
    return tuple(specs.values())


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
    """Version directories: children whose names are whole numbers; anything else is ignored."""
    if not base_path.is_dir():
        return {}
    return {
        int(child.name): child for child in sorted(base_path.iterdir()) if child.name.isdecimal() and child.is_dir()
    }
