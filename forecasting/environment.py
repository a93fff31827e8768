"""Settings that name environment variables: `${NAME}` is written, its value is used, and shown nowhere."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote

from forecasting.errors import ConfigError

_NAME = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class ResolvedSetting:
    """A setting with the values of environment variables in it.

    name: as it is written, for messages, reports and records. value and secrets (name and value of each
    variable) are shown nowhere.
    """

    name: str
    value: str = field(repr=False)
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def scrubbed(self, text: str) -> str:
        """A text of somebody else, such as the message of a library, without what variables hold."""
        return scrubbed(text, self.secrets)


def scrubbed(text: str, secrets: tuple[tuple[str, str], ...]) -> str:
    """A text with the names of variables, as `${NAME}`, in the place of what they hold, also where that is quoted.

    Args:
        text: Of somebody else, such as the message of a library.
        secrets: Name and value of each variable.
    """
    for name, value in secrets:
        for form in {value, quote(value, safe="")} - {""}:
            text = text.replace(form, f"${{{name}}}")
    return text


def resolve_setting(text: str, *, setting: str) -> ResolvedSetting:
    """Put the values of environment variables into a setting.

    Args:
        text: As written in the configuration.
        setting: Where it stands there, for the message.

    Raises:
        ConfigError: A variable is not set.
    """
    secrets = tuple((name, _variable(name, setting)) for name in dict.fromkeys(_NAME.findall(text)))
    values = dict(secrets)
    return ResolvedSetting(text, _NAME.sub(lambda found: values[found[1]], text), secrets)


def _variable(name: str, setting: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"{setting} names the environment variable {name}, which must be set, and is not")
    return value
