"""Tables for a first run, made once and named `example://NAME` in `data.uri`."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from components.validation.examples.electricity import write_electricity
from components.validation.examples.retail import write_retail
from components.validation.examples.weather_forecasts import write_weather_forecasts
from forecasting.contracts.layout import HomeLayout
from forecasting.sources import example_name, source_file

logger = logging.getLogger(__name__)

WRITERS: dict[str, Callable[[Path], None]] = {
    "electricity": write_electricity,
    "electricity/weather_forecasts": write_weather_forecasts,
    "retail": write_retail,
}
"""How the file of each example of `forecasting.sources.EXAMPLE_FILES` is written."""


def example_table(uri: str, home: HomeLayout) -> Path:
    """Path of an example's table; it is made if it is not there yet, whole or not at all.

    Raises:
        ConfigError: There is no such example, or the package it is read from is not installed.
    """
    path = source_file(uri, home)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        WRITERS[example_name(uri)](temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    logger.info("made %s: %s, %d bytes", uri, path, path.stat().st_size)
    return path
