"""Which database the store is in."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from forecasting.environment import ResolvedSetting, resolve_setting
from forecasting.errors import ConfigError

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


@dataclass(frozen=True)
class StoreAddress:
    """A database by its URL; what it prints has no password, and neither has `shown`."""

    url: URL
    setting: ResolvedSetting

    @property
    def file(self) -> Path | None:
        """The file of SQLite; none on PostgreSQL."""
        return Path(str(self.url.database)) if self.url.get_backend_name() == "sqlite" else None

    @property
    def shown(self) -> str:
        """For messages and logs."""
        if self.file is not None:
            return str(self.file)
        return self.url.set(query=dict.fromkeys(self.url.query, "…")).render_as_string(hide_password=True)

    def scrubbed(self, text: str) -> str:
        """A message of the driver without secrets."""
        found = self.setting.scrubbed(text)
        password = self.url.password
        return found.replace(str(password), "***") if password else found

    def scrubbed_error(self, error: Exception) -> str:
        """What the driver says of an error, or ours says, without secrets."""
        return self.scrubbed(str(getattr(error, "orig", None) or error))


def store_address(url: str | None, default: Path, *, setting: str = "store.url") -> StoreAddress:
    """Read a setting such as `store.url`.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:${PASSWORD}@HOST/NAME`; none: the default.
        default: SQLite file.
        setting: Its name, for messages.

    Raises:
        ConfigError: It is another kind of URL, or a variable in it is not set.
    """
    if url is None:
        return StoreAddress(URL.create("sqlite", database=str(default)), ResolvedSetting("", ""))
    resolved = resolve_setting(url, setting=setting)
    must = f"{setting} must be sqlite:///FILE or postgresql://USER:${{PASSWORD}}@HOST/NAME"
    try:
        found = make_url(resolved.value)
    except (ArgumentError, ValueError):
        raise ConfigError(f"{must}, found {resolved.name}") from None
    backend = found.get_backend_name()
    if backend not in _DRIVERS or found.drivername not in (backend, _DRIVERS[backend]):
        raise ConfigError(f"{must}, found {resolved.name}")
    if not found.database or found.database == ":memory:":
        raise ConfigError(
            f"{must}; found {resolved.name}, which names no {'file' if backend == 'sqlite' else 'database'}"
        )
    return StoreAddress(found.set(drivername=_DRIVERS[backend]), resolved)
