"""Read a configuration file once, at the edge, with errors that name the key."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from forecasting.config.root import AlmanacConfig
from forecasting.errors import ConfigError

_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|\$\{|:memory:)(.+)")


class _SettingsLoader(yaml.SafeLoader):
    """Times stay as they are written: whether one lacks a zone is for the setting to say."""


_SettingsLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def load_config(path: Path, overrides: Iterable[str] = ()) -> AlmanacConfig:
    """Read and check a configuration.

    Args:
        path: YAML file. A relative `data.uri` is resolved against its folder.
        overrides: `a.b=value` settings, values in YAML, applied in order.

    Raises:
        ConfigError: The file is missing or no YAML mapping, a key is unknown, or a value is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} line {line} must be UTF-8, found byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
        ) from error
    document = _parse_yaml(text, str(path))
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, found {type(document).__name__}")
    apply_overrides(document, overrides)
    config = parse_config(document, source=str(path))
    return _resolve_uri(config, path.parent)


def parse_config(document: Mapping[str, Any], source: str) -> AlmanacConfig:
    """Check a configuration that is already a mapping.

    Raises:
        ConfigError: A key is unknown or missing, or a value is wrong; one line a problem.
    """
    try:
        return AlmanacConfig.model_validate(document)
    except ValidationError as error:
        lines = [_problem_line(problem) for problem in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_SettingsLoader)  # nosec B506 # a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line} is not valid YAML: {getattr(error, 'problem', error)}") from error


def apply_overrides(document: dict[str, Any], overrides: Iterable[str]) -> None:
    """Change settings in place.

    Args:
        document: A configuration as a mapping.
        overrides: `a.b=value` settings, values in YAML, applied in order.

    Raises:
        ConfigError: One is of another form.
    """
    for override in overrides:
        _apply(document, override)


def _apply(document: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(f"--set {override!r} must have the form section.key=value")
    section = document
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section")
    section[keys[-1]] = _parse_yaml(text, f"--set {override!r}")


def _resolve_uri(config: AlmanacConfig, folder: Path) -> AlmanacConfig:
    tracking = config.tracking
    if tracking.uri is not None:
        tracking = tracking.model_copy(update={"uri": resolved_uri(tracking.uri, folder)})
    update: dict[str, Any] = {"uri": resolved_uri(config.data.uri, folder)}
    if (events := config.data.events) is not None:
        update["events"] = events.model_copy(update={"uri": resolved_uri(events.uri, folder)})
    if (vintages := config.data.vintages) is not None:
        update["vintages"] = vintages.model_copy(update={"uri": resolved_uri(vintages.uri, folder)})
    return config.model_copy(update={"data": config.data.model_copy(update=update), "tracking": tracking})


def resolved_uri(uri: str, folder: Path) -> str:
    """An address whose path no longer hangs on where a process runs; also that of an SQLite file."""
    if found := _RELATIVE_SQLITE.match(uri):
        return f"{found[1]}{(folder / found[2]).resolve()}"
    if "://" in uri or uri.startswith("${"):
        return uri
    return str((folder / uri).resolve())


def _problem_line(problem: Any) -> str:
    location = list(problem["loc"])
    name = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {name!r}{_nearest(location)}"
    if problem["type"] == "missing":
        return f"{name!r} must be set; it has no default"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name or 'configuration'}: {message}" + (
        f" (found {problem['input']!r})" if name and not isinstance(problem["input"], dict | BaseModel) else ""
    )


def _nearest(location: list[Any]) -> str:
    model = _model_at([part for part in location[:-1] if isinstance(part, str)])
    if model is None:
        return ""
    matches = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1, cutoff=0.0)
    return f"; the nearest known key is {'.'.join([*map(str, location[:-1]), matches[0]])!r}" if matches else ""


def _model_at(keys: list[str]) -> type[BaseModel] | None:
    model: type[BaseModel] = AlmanacConfig
    for key in keys:
        field = model.model_fields.get(key)
        if field is None:
            return None
        candidates = [field.annotation, *get_args(field.annotation)]
        nested = [kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not nested:
            return None
        model = nested[0]
    return model
