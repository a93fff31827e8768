"""Tables for a first run, made once and named `example://NAME` in `data.uri`."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.validation.examples.electricity import write_electricity
from components.validation.examples.retail import write_retail
from forecasting.errors import ConfigError

logger = logging.getLogger(__name__)

SCHEME = "example://"


@dataclass(frozen=True)
class ExampleSpec:
    """One example: the name of its file and how that is written."""

    file_name: str
    write: Callable[[Path], None]


EXAMPLES = {
    "electricity": ExampleSpec("electricity.csv", write_electricity),
    "retail": ExampleSpec("retail.parquet", write_retail),
}


def example_table(uri: str, directory: Path) -> Path:
    """Path of an example's table below `directory`; it is made if it is not there yet, whole or not at all.

    Raises:
        ConfigError: There is no such example, or the package it is read from is not installed.
    """
    name = uri.removeprefix(SCHEME)
    if name not in EXAMPLES:
        raise ConfigError(f"data.uri names the example {name!r}; there are {', '.join(sorted(EXAMPLES))}")
    spec = EXAMPLES[name]
    path = directory / spec.file_name
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        spec.write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    logger.info("made %s: %s, %d bytes", uri, path, path.stat().st_size)
    return path
