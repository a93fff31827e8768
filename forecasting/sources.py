"""Where the table behind `data.uri` lies: one definition for the step that reads it and for the key of that step."""

from pathlib import Path

from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError

EXAMPLE_SCHEME = "example://"
FILE_SCHEME = "file://"
EXAMPLE_FILES = {"electricity": "electricity.csv", "retail": "retail.parquet"}
"""File of each example below `HomeLayout.examples`; it is there once the example was made."""


def source_file(uri: str, home: HomeLayout) -> Path:
    """The file behind an address, whether it exists or not.

    Args:
        uri: A path, `file://` and a path, or `example://` and the name of an example.
        home: Where examples are.

    Raises:
        ConfigError: The address is of no known kind, or there is no such example.
    """
    if uri.startswith(EXAMPLE_SCHEME):
        return home.examples / EXAMPLE_FILES[example_name(uri)]
    if "://" in uri and not uri.startswith(FILE_SCHEME):
        scheme = uri.partition("://")[0]
        raise ConfigError(f"data.uri must be a file or example://NAME; this version does not read {scheme}://")
    return Path(uri.removeprefix(FILE_SCHEME))


def example_name(uri: str) -> str:
    """Name of the example of an `example://` address.

    Raises:
        ConfigError: There is no such example.
    """
    name = uri.removeprefix(EXAMPLE_SCHEME)
    if name not in EXAMPLE_FILES:
        raise ConfigError(f"data.uri names the example {name!r}; there are {', '.join(sorted(EXAMPLE_FILES))}")
    return name
