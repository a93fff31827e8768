"""`almanac init`."""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from forecasting.command_word import command_word
from forecasting.config.loading import resolved_uri
from forecasting.contracts.layout import home_layout
from forecasting.errors import ConfigError
from forecasting.manifests import write_text_atomically
from pipelines.initial.opening import reading_overrides
from pipelines.initial.propose import ProposalSpec, model_name, propose


def init(arguments: argparse.Namespace) -> int:
    """Write a configuration for a table; what it found and what to look at goes to stderr."""
    table = str(arguments.table)
    output = Path(arguments.output or f"{model_name(table)}.yaml")
    if output.is_dir():
        raise ConfigError(f"-o must name a file, and {output} is a folder")
    if output.exists() and not arguments.force:
        raise ConfigError(f"{output} exists already; name another file with -o, or write over it with --force")
    if not output.parent.is_dir():
        raise ConfigError(f"-o must name a file in a folder that exists, and there is no {output.parent}")
    if arguments.horizon is not None and arguments.horizon < 1:
        raise ConfigError(f"--horizon must be at least 1 step, found {arguments.horizon}")
    spec = ProposalSpec(
        uri=uri_from(table, output.parent),
        read_uri=resolved_uri(table, Path()),
        command=shlex.join(_words(arguments)),
        target=arguments.target,
        horizon=arguments.horizon,
        created=time.time(),
        reading=reading_overrides(arguments.overrides),
    )
    proposal = propose(spec, home_layout())
    try:
        write_text_atomically(output, proposal.text)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror}") from error
    print(f"wrote {output}: {proposal.summary}", file=sys.stderr)
    for check in proposal.checks:
        print(f"check {check}", file=sys.stderr)
    print(f"then: {command_word()} run -c {shlex.quote(str(output))}", file=sys.stderr)
    return 0


def uri_from(table: str, folder: Path) -> str:
    """How a configuration in `folder` names a table: relative where the table is in or beside it, else absolute."""
    here = Path().resolve()
    if "://" in table or table.startswith("${"):
        # The path of an SQLite file starts at the configuration.
        return table if folder.resolve() == here else resolved_uri(table, here)
    relative = os.path.relpath(Path(table).resolve(), folder.resolve())
    return relative if relative.count("..") <= 1 else str(Path(table).resolve())


def _words(arguments: argparse.Namespace) -> list[str]:
    """How this proposal was asked for."""
    words = ["almanac", "init", str(arguments.table)]
    for option, value in (("--target", arguments.target), ("--horizon", arguments.horizon)):
        words += [option, str(value)] if value is not None else []
    return words + [word for override in arguments.overrides for word in ("--set", override)]
