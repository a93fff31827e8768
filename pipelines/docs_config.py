"""Writes docs/config.md from the configuration model: `python -m pipelines.docs_config > docs/config.md`."""

import json
import types
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from forecasting.config import AlmanacConfig

PREAMBLE = """\
# Configuration

One YAML file. Every setting has a default except the thresholds under `gates`: what may ship is yours to
say. A key that is not listed here is refused, with the nearest one that is. `--set section.key=value`
changes a setting from the command line, `almanac config show -c FILE` prints a file with all defaults, and
`almanac config schema` prints a JSON Schema for editors.

Durations are a number and a unit (`30min`, `24h`, `28d`, `4w`); lengths called steps are whole numbers of
`data.frequency`.

This page is made by `python -m pipelines.docs_config`; a test holds it equal to the model.
"""


def config_page() -> str:
    """The whole page in Markdown."""
    # The kinds of models are the same ones as members of an ensemble.
    every = [(path, model) for path, model in all_sections(AlmanacConfig, "") if ".members[]" not in path]
    sections = [f"{_heading(path, model)}\n{_table(model)}" for path, model in every]
    return "\n".join([PREAMBLE, *sections])


def all_sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section with its dotted path, depth first; entries of lists end in []."""
    yield path, model
    for name, field in model.model_fields.items():
        place = f"{path}.{name}" if path else name
        for nested, in_list in _nested_models(field.annotation):
            yield from all_sections(nested, f"{place}{'[]' if in_list else ''}{_kind_mark(nested)}")


def _nested_models(annotation: Any, in_list: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, in_list
    for argument in get_args(annotation):
        yield from _nested_models(argument, in_list or get_origin(annotation) in (tuple, list))


def _kind_mark(model: type[BaseModel]) -> str:
    """Which of several kinds of entries a section describes, where its key `kind` tells them apart."""
    return f" kind: {model.model_fields['kind'].default}" if "kind" in model.model_fields else ""


def _heading(path: str, model: type[BaseModel]) -> str:
    title = f"## `{path}`" if path else "## Top level"
    return f"{title}\n\n{(model.__doc__ or '').strip()}\n"


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        cells = (f"`{name}`", _type_name(field.annotation), _default(field), _meaning(field))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "none"
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_name(argument) for argument in arguments))
    if origin in (tuple, list):
        inner = [argument for argument in arguments if argument is not Ellipsis]
        if Ellipsis not in arguments:
            return "[" + ", ".join(_type_name(argument) for argument in inner) + "]"
        return f"list of {_type_name(inner[0])}"
    if origin is dict:
        return f"mapping of {_type_name(arguments[0])} to {_type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}[annotation.__name__]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**must be set**" if not _is_section(field) else ""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value is PydanticUndefined:
        return ""
    return "none" if value is None else f"`{json.dumps(_plain(value))}`"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _meaning(field: FieldInfo) -> str:
    limits = []
    for limit in field.metadata:
        for sign, name in ((">", "gt"), ("≥", "ge"), ("<", "lt"), ("≤", "le")):
            bound = getattr(limit, name, None)
            if bound is not None:
                limits.append(f"{sign} {bound}")
    suffix = f" ({', '.join(limits)})" if limits else ""
    return f"{field.description or ''}{suffix}"


if __name__ == "__main__":
    print(config_page(), end="")
