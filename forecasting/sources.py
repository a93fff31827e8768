"""What `data.uri` names: one definition for the step that reads it and for the key of that step."""

import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from forecasting.contracts.layout import HomeLayout
from forecasting.environment import scrubbed
from forecasting.errors import AlmanacError, ConfigError, DataError

EXAMPLE_SCHEME = "example://"
FILE_SCHEME = "file://"
EXAMPLE_FILES = {
    "electricity": "electricity.csv",
    "electricity/weather_forecasts": "electricity_weather_forecasts.parquet",
    "retail": "retail.parquet",
}
"""File of each example below `HomeLayout.examples`; it is there once the example was made."""
SQL_DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle")
"""Schemes that are databases; so is any scheme that names a driver, such as `postgresql+psycopg`."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SourceKind(StrEnum):
    """Where a table lies."""

    LOCAL = "local"
    REMOTE = "remote"
    SQL = "sql"


@dataclass(frozen=True)
class SourceAddress:
    """An address with the values of environment variables in it.

    name: as it is written, for messages, reports and keys. uri and secrets (name and value of each
    variable) are shown nowhere.
    """

    name: str
    kind: SourceKind
    uri: str = field(repr=False)
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def scrubbed(self, text: str) -> str:
        """A text of somebody else, such as the message of a driver, without what variables hold."""
        return scrubbed(text, self.secrets)


def source_address(uri: str, home: HomeLayout) -> SourceAddress:
    """Say what an address is of, and put the values of environment variables in it.

    Args:
        uri: A path, `file://` and a path, `example://` and the name of an example, the URL of a
            database, or an address that fsspec opens; `${NAME}` stands for an environment variable.
        home: Where examples are.

    Raises:
        ConfigError: An environment variable is not set, or there is no such example.
    """
    secrets = tuple((name, _variable(name)) for name in dict.fromkeys(_VARIABLE.findall(uri)))
    full = _VARIABLE.sub(lambda found: _value_at(found, dict(secrets)), uri)
    if full.startswith(EXAMPLE_SCHEME):
        path = str(home.examples / EXAMPLE_FILES[example_name(full)])
        return SourceAddress(path, SourceKind.LOCAL, path)
    if full.startswith(FILE_SCHEME):
        return SourceAddress(uri.removeprefix(FILE_SCHEME), SourceKind.LOCAL, full.removeprefix(FILE_SCHEME), secrets)
    if "://" not in full:
        return SourceAddress(uri, SourceKind.LOCAL, full, secrets)
    scheme = full.partition("://")[0].lower()
    if scheme == "postgres":
        raise ConfigError(
            "data.uri must begin with postgresql+psycopg:// (postgres:// is no name that SQLAlchemy knows)"
        )
    is_sql = "::" not in scheme and ("+" in scheme or scheme in SQL_DIALECTS)
    return SourceAddress(uri, SourceKind.SQL if is_sql else SourceKind.REMOTE, full, secrets)


def local_path(uri: str) -> Path | None:
    """The file on this machine that an address names, an SQLite file too; none where it names something else."""
    if uri.startswith(FILE_SCHEME):
        return Path(uri.removeprefix(FILE_SCHEME))
    if found := re.match(r"sqlite(?:\+\w+)?:///([^?]+)", uri):
        return Path(found[1])
    return None if "://" in uri or uri.startswith("${") else Path(uri)


def source_file(uri: str, home: HomeLayout) -> Path:
    """The file of an example, whether it was made or not.

    Raises:
        ConfigError: There is no such example.
    """
    return home.examples / EXAMPLE_FILES[example_name(uri)]


def example_name(uri: str) -> str:
    """Name of the example of an `example://` address.

    Raises:
        ConfigError: There is no such example.
    """
    name = uri.removeprefix(EXAMPLE_SCHEME)
    if name not in EXAMPLE_FILES:
        raise ConfigError(f"data.uri names the example {name!r}; there are {', '.join(sorted(EXAMPLE_FILES))}")
    return name


_FOREIGN_ERRORS = (
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
)
"""Roots of trees of errors that do not grow from Python's own: modules and names."""


@contextmanager
def reading(address: SourceAddress, what: str = "be read") -> Iterator[None]:
    """Turn errors of file systems and drivers into one line that holds no secret.

    Raises:
        DataError: The table cannot be read.
    """
    try:
        yield
    except AlmanacError:
        raise
    except _reading_errors() as error:
        message = address.scrubbed(str(error)).strip()
        text = message.splitlines()[0] if message else type(error).__name__
        # No cause: a traceback would show the address again.
        raise DataError(f"{address.name} cannot {what}: {text}") from None


def _reading_errors() -> tuple[type[BaseException], ...]:
    """Errors of reading: Python's own, and those of the drivers and file systems that are loaded by now."""
    found = [getattr(sys.modules[module], name) for module, name in _FOREIGN_ERRORS if module in sys.modules]
    return (OSError, ValueError, LookupError, ImportError, RuntimeError, zipfile.BadZipFile, *found)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"data.uri names the environment variable {name}, which is not set")
    return value


def _value_at(found: re.Match[str], values: dict[str, str]) -> str:
    """A value as it stands in an address: quoted where it is a user or a password."""
    value, before, after = values[found[1]], found.string[: found.start()], found.string[found.end() :]
    _, scheme, rest = before.partition("://")
    in_authority = bool(scheme) and "/" not in rest and "@" not in rest and "@" in after.partition("/")[0]
    return quote(value, safe="") if in_authority else value
