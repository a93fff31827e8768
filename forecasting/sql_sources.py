"""Addresses of databases: which file an SQLite database is, and how an address is shown."""

from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.errors import ConfigError, DataError
from forecasting.sources import SourceAddress

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def shown_url(address: SourceAddress) -> str:
    """The address without password and without the values of its query string.

    Raises:
        ConfigError: It is no URL that SQLAlchemy reads.
    """
    url = _url(address)
    return url.set(query=dict.fromkeys(url.query, "…")).render_as_string(hide_password=True)


def sqlite_file(address: SourceAddress) -> Path | None:
    """The file of an SQLite database; none for another database.

    Raises:
        ConfigError: It is no URL that SQLAlchemy reads, or the database is in memory.
        DataError: There is no such file.
    """
    url = _url(address)
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise ConfigError(f"data.uri must name the file of an SQLite database (sqlite:///FILE), found {address.name}")
    path = Path(url.database)
    if not path.is_file():
        # SQLite would make an empty database there.
        raise DataError(f"data.uri must name an existing database, and there is none at {path}")
    return path


def _url(address: SourceAddress) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address.uri)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"data.uri must be a URL as SQLAlchemy reads it, such as postgresql+psycopg://USER:${{PASSWORD}}@HOST/NAME; found {address.name}"
        ) from None
