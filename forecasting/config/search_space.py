"""Which settings are searched: their paths in a configuration, checked one by one, and the space for each kind of model."""

import difflib
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from forecasting.config.tuning import RangeConfig, choice_label
from forecasting.errors import ConfigError

SEARCHED = ("model.", "training.", "features.", "forecast.context", "forecast.segment")
"""What a trial may change. All else says what is forecast, what it is judged by or who is served, and is the same for all."""
_FIXED = (
    "model.kind",
    "model.members",
    "model.seeds",
    "training.seed",
    "training.strategy",
    "features.calendar_time_zone",
)

_UNITS = RangeConfig(low=32, high=256, log=True)
_LAYERS = RangeConfig(choices=((64,), (128, 64), (64, 64), (256, 128, 64)))
_HALF = RangeConfig(low=0.0, high=0.5)
_TRAINING = {
    "training.learning_rate": RangeConfig(low=1e-4, high=1e-2, log=True),
    "training.batch_size": RangeConfig(choices=(16, 32, 64, 128, 256, 512)),
    "training.optimizer": RangeConfig(choices=("adam", "adamw", "rmsprop", "sgd")),
    "training.schedule": RangeConfig(choices=("cosine", "constant", "exponential", "one_cycle")),
    "training.l2": RangeConfig(choices=(0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
}
_BY_NAME = {"dropout": _HALF, "recurrent_dropout": _HALF, "segment_dropout": _HALF}
_EQUAL_LAYERS = RangeConfig(choices=((64, 64), (64, 64, 64, 64), (128, 128)))
_SEGMENT_KINDS = ("segment_lstm", "segment_gru")


def check_space(document: Mapping[str, Any], config: BaseModel, space: Mapping[str, RangeConfig], parse: Any) -> None:
    """Every path must be a setting that may be searched, and both ends or all choices of its range valid by themselves.

    Args:
        document: The configuration as a mapping, without `tuning.space`.
        config: The same, parsed.
        space: Ranges by path.
        parse: Parses a changed document, or raises a ValueError.

    Raises:
        ConfigError: One is not; the message names path and value.
    """
    for path, values in space.items():
        kinds = setting_kinds(config, path)
        if values.choices is None and not kinds & {int, float}:
            raise ConfigError(f"tuning.space.{path} is no number; give choices")
        if (
            values.choices is None
            and float not in kinds
            and any(end != int(end) for end in (*values.bounds, values.step or 1))
        ):
            raise ConfigError(f"tuning.space.{path} takes whole numbers; low, high and step must be such")
        for value in values.ends:
            try:
                parse(with_settings(document, {path: value}))
            except ValueError as error:
                raise ConfigError(
                    f"tuning.space.{path} must hold values that this configuration can take, found {choice_label(value)}: {_first(error)}"
                ) from error


def setting_kinds(config: BaseModel, path: str) -> set[type]:
    """The plain types that a setting takes.

    Raises:
        ConfigError: There is no such setting, or it may not be searched.
    """
    if not path.startswith(SEARCHED) or path.startswith(_FIXED):
        raise ConfigError(
            f"tuning.space.{path}: a search may change settings of model (not its kind), training and features, "
            "forecast.context and forecast.segment"
        )
    section: Any = config
    *parents, name = path.split(".")
    for key in parents:
        section = getattr(section, key, None)
        if not isinstance(section, BaseModel):
            raise ConfigError(f"tuning.space.{path}: this configuration has no section {key!r} there")
    if name not in type(section).model_fields:
        known = list(type(section).model_fields)
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"tuning.space.{path} must be a setting of this configuration"
            f"{f' (model.kind {section.kind})' if hasattr(section, 'kind') else ''}; the nearest is {'.'.join([*parents, nearest])}"
        )
    return _plain_types(type(section).model_fields[name].annotation)


def _plain_types(annotation: Any) -> set[type]:
    if get_origin(annotation) is Annotated:
        return _plain_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_plain_types, get_args(annotation)))
    return {annotation} if isinstance(annotation, type) else set()


def setting(document: Mapping[str, Any], path: str) -> Any:
    """Value of a setting in a configuration with all defaults."""
    value: Any = document
    for key in path.split("."):
        value = value[key]
    return value


def with_settings(document: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some settings changed; the given one stays as it is."""
    changed = dict(document)
    for path, value in settings.items():
        section = changed
        *parents, name = path.split(".")
        for key in parents:
            section[key] = dict(section.get(key) or {})
            section = section[key]
        section[name] = list(value) if isinstance(value, tuple) else value
    return changed


def default_space(document: Mapping[str, Any]) -> dict[str, RangeConfig]:
    """The space for the kind of model of a configuration with all defaults: only settings that it has, and the value of each.

    Raises:
        ConfigError: The kind has nothing to search.
    """
    model = document["model"]
    kind = model["kind"]
    if kind == "ridge":
        raise ConfigError(
            "model.kind ridge is solved in closed form and has nothing to search; set tuning.space for features"
        )
    found = {f"model.{name}": values for name, values in _BY_NAME.items() if name in model}
    if "units" in model:
        found["model.units"] = _units(kind)
    if isinstance(model.get("layers"), int):
        found["model.layers"] = RangeConfig(low=1, high=3)
    found |= {"forecast.context": contexts} if (contexts := _contexts(document["forecast"])) else {}
    if kind in _SEGMENT_KINDS and (segments := _segments(document["forecast"])):
        found["forecast.segment"] = segments
    return {path: _including(values, setting(document, path)) for path, values in (found | _TRAINING).items()}


def _units(kind: str) -> RangeConfig:
    if kind == "stacked_lstm":
        return _EQUAL_LAYERS
    if kind == "transformer_lstm":
        return RangeConfig(choices=(32, 64, 128, 256))
    return _UNITS if kind in (*_SEGMENT_KINDS, "tsmixer") else _LAYERS


def _contexts(forecast: Mapping[str, Any]) -> RangeConfig | None:
    """Half, all and twice the context, as far as seasons fit into it and segments fill it."""
    context, segment = forecast["context"], forecast["segment"]
    fitting = [n for n in (context // 2, context, 2 * context) if n >= max(forecast["seasons"]) and n % segment == 0]
    return RangeConfig(choices=tuple(fitting)) if len(fitting) > 1 else None


def _segments(forecast: Mapping[str, Any]) -> RangeConfig | None:
    """Half the segment and all of it: both divide every context that the segment divides."""
    segment = forecast["segment"]
    return RangeConfig(choices=(segment // 2, segment)) if segment % 2 == 0 and segment >= 4 else None


def _including(values: RangeConfig, current: Any) -> RangeConfig:
    """The same range, wide enough for the value that the configuration has, so that the search can begin there."""
    if values.choices is not None:
        present = tuple(current) if isinstance(current, list | tuple) else current
        return values if present in values.choices else RangeConfig(choices=(present, *values.choices))
    low, high = values.bounds
    return values.model_copy(update={"low": min(low, current), "high": max(high, current)})


def _first(error: ValueError) -> str:
    """What is wrong, without the frame that pydantic puts around it."""
    problems = getattr(error, "errors", None)
    return str(problems()[0]["msg"]).removeprefix("Value error, ") if problems else str(error)
