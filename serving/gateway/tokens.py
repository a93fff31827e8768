"""Bearer tokens: who may do what. Only their digests are kept.

A line is `NAME SCOPE[,SCOPE…] DIGEST`; empty lines and those that begin with # are left alone. A token is 256 random bits,
so one round of SHA-256 keeps it as well as a slow hash would; those are for what people can remember.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from forecasting.errors import ConfigError

logger = logging.getLogger(__name__)

VARIABLE = "ALMANAC_TOKENS"
"""Lines of tokens, where there is no file."""
PREFIX = "almanac_"
"""Of every token, so that a search for leaked secrets finds it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
LOOK_S = 1.0
"""Least time between two looks at the file."""


class TokenScope(StrEnum):
    """What a token allows. READ: forecasts and state. WRITE: observations. ALERT: alerts of Alertmanager. ADMIN: all."""

    READ = "read"
    WRITE = "write"
    ALERT = "alert"
    ADMIN = "admin"


@dataclass(frozen=True)
class TokenRecord:
    """One token: its name, which stands in the log, what it allows, and its digest."""

    name: str
    scopes: frozenset[TokenScope]
    digest: str

    def allows(self, scope: TokenScope) -> bool:
        """Whether it allows something."""
        return scope in self.scopes or TokenScope.ADMIN in self.scopes

    def line(self) -> str:
        """As it is kept."""
        return f"{self.name} {','.join(sorted(self.scopes))} {self.digest}"


def make_token(name: str, scopes: Iterable[TokenScope]) -> tuple[str, TokenRecord]:
    """A new token, to be shown once, and what is kept of it.

    Raises:
        ConfigError: The name is none that may stand in a line, or there is no scope.
    """
    found = frozenset(scopes)
    if not _NAME.fullmatch(name) or not found:
        raise ConfigError(f"a token must have a name of letters, digits, dots and dashes, and a scope; found {name!r} and {sorted(found)}")  # fmt: skip
    token = PREFIX + secrets.token_urlsafe(32)
    return token, TokenRecord(name, found, digest_of(token))


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def parse_tokens(text: str, where: str) -> tuple[TokenRecord, ...]:
    """Tokens of a file or variable.

    Raises:
        ConfigError: A line is none, or two have one name; names the line, never what is in it.
    """
    found: dict[str, TokenRecord] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        scopes = set(words[1].split(",")) if len(words) == 3 else set()
        fits = len(words) == 3 and _NAME.fullmatch(words[0]) and _DIGEST.fullmatch(words[2])
        if not fits or not scopes or not scopes <= set(TokenScope):
            raise ConfigError(
                f"{where}, line {number}, must be NAME SCOPE[,SCOPE] DIGEST with scopes among "
                f"{', '.join(TokenScope)} and a SHA-256 digest, as `almanac tokens make` writes it"
            )
        if words[0] in found:
            raise ConfigError(f"{where}, line {number}, must not name the token {words[0]!r} again")
        found[words[0]] = TokenRecord(words[0], frozenset(TokenScope(scope) for scope in scopes), words[2])
    return tuple(found.values())


def matching(tokens: Sequence[TokenRecord], given: str) -> TokenRecord | None:
    """The token that was given; takes as long whichever it is, and where it is none."""
    digest, found = digest_of(given), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


class TokenSource:
    """Tokens of a file, read again when it changes, or of the environment."""

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read them.

        Raises:
            ConfigError: The file cannot be read, has no token, or a line is none.
        """
        self._path, self._clock, self._lock = path, clock, threading.Lock()
        self._looked, self._stamp = clock(), self._file_stamp()
        self._tokens = self._read()

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._path is None and not self._tokens

    def tokens(self) -> tuple[TokenRecord, ...]:
        """The tokens as they are now; a file may lose its last one, and then lets nobody in.

        Where a line is none, those that were read last and still stand in the file are left; where the file cannot be read,
        all of them. Either has a line in the log.
        """
        with self._lock:
            now = self._clock()
            if self._path is None or now - self._looked < LOOK_S:
                return self._tokens
            self._looked = now
            if (stamp := self._file_stamp()) != self._stamp:
                self._stamp = stamp
                try:
                    text = self._text()
                except ConfigError as error:
                    logger.error("the tokens stay as they were: %s", error)
                else:
                    self._tokens = self._reread(text)
            return self._tokens

    def _file_stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> tuple[TokenRecord, ...]:
        if self._path is None:
            return parse_tokens(os.environ.get(VARIABLE, ""), f"${VARIABLE}")
        found = parse_tokens(self._text(), str(self._path))
        if not found:
            raise ConfigError(
                f"{self._path} must have a token; `almanac tokens make NAME --file {self._path}` makes one"
            )
        return found

    def _reread(self, text: str) -> tuple[TokenRecord, ...]:
        try:
            found = parse_tokens(text, str(self._path))
        except ConfigError as error:
            # Who was taken out of the file is out, whatever else is wrong with it.
            lines = [(words[0], frozenset(words[1].split(",")), words[2]) for words in map(str.split, text.splitlines()) if len(words) == 3]  # fmt: skip
            found = tuple(one for one in self._tokens if (one.name, one.scopes, one.digest) in lines)
            logger.error("%d of %d tokens stay, no new one is taken: %s", len(found), len(self._tokens), error)
            return found
        logger.info("read %d tokens again", len(found))
        return found

    def _text(self) -> str:
        if self._path is None:
            return ""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the tokens {self._path} cannot be read: {error}") from error
