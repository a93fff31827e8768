"""`almanac tokens make`."""

import argparse
import os
import sys
from pathlib import Path

from forecasting.errors import ConfigError
from serving.gateway.tokens import TokenScope, make_token, parse_tokens


def make(arguments: argparse.Namespace) -> int:
    """Print a new token; its line goes into the file, or to stderr where there is none."""
    token, record = make_token(arguments.name, [TokenScope(scope) for scope in arguments.scopes or ["read"]])
    if arguments.file is None:
        print(record.line(), file=sys.stderr)
    else:
        _append(Path(arguments.file), arguments.name, record.line())
    print(token)
    return 0


def _append(path: Path, name: str, line: str) -> None:
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--file {path} cannot be read: {error}") from error
    if name in {token.name for token in parse_tokens(text, str(path))}:
        raise ConfigError(f"{path} must not have a token {name!r} yet; remove its line, or take another name")
    whole = text if not text or text.endswith("\n") else f"{text}\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(f"{whole}{line}\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"--file {path} cannot be written: {error}") from error
