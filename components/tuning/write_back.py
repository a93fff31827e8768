"""The best settings, written back into the configuration file that the search began with."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from forecasting.config.loading import apply_overrides
from forecasting.config.search_space import setting
from forecasting.config.tuning import choice_label
from forecasting.errors import ConfigError
from forecasting.manifests import write_text_atomically


def write_tuned_config(
    source: Path,
    target: Path,
    *,
    best: Mapping[str, Any],
    before: Mapping[str, Any],
    overrides: Iterable[str],
    why: str,
) -> None:
    """Write a configuration again with other values; everything else, comments too, stays as it is written there.

    Args:
        source: The configuration file.
        target: Where the new one goes.
        best: Values by path.
        before: The configuration with all defaults, for the values that they replace.
        overrides: `a.b=value` settings that the search was called with; they are part of what it has found.
        why: Where the values come from, for the head of the file and beside each of them.

    Raises:
        ConfigError: The file cannot be read any more.
    """
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    try:
        document = yaml.load(source.read_text(encoding="utf-8"))
    except (OSError, YAMLError) as error:
        raise ConfigError(f"cannot read the configuration {source} to write the best settings back: {error}") from error
    given: dict[str, Any] = {}
    apply_overrides(given, overrides)
    for path, value in _leaves(given):
        _put(document, path, value, "from --set")
    for path, value in best.items():
        old = setting(before, path)
        said = "as it was" if choice_label(old) == choice_label(value) else f"was {choice_label(old)}"
        _put(document, path, value, f"{why}; {said}")
    text = io.StringIO()
    yaml.dump(document, text)
    write_text_atomically(target, text.getvalue())


def _leaves(document: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterable[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*parents, key))
        else:
            yield ".".join((*parents, key)), value


def _put(document: CommentedMap, path: str, value: Any, comment: str) -> None:
    section = document
    *parents, name = path.split(".")
    for key in parents:
        if not isinstance(section.get(key), CommentedMap):
            section[key] = CommentedMap()
        section = section[key]
        # Comments beside values need a line for each.
        section.fa.set_block_style()
    if isinstance(value, tuple | list):
        value = CommentedSeq(value)
        value.fa.set_flow_style()
    section[name] = value
    section.yaml_add_eol_comment(comment, name)
