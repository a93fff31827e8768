"""Writes docs/cli.md: `python -m pipelines.docs_cli > docs/cli.md`."""

import argparse
from collections.abc import Iterator

from pipelines.exit_codes import EXIT_CODES
from pipelines.parser import build_parser

_PREAMBLE = """\
# Command line

One command, `almanac`. Results go to stdout, progress and messages to stderr; `--json` prints what a
machine reads. State lies under `--home`, else `$ALMANAC_HOME`, else `.almanac/` in the working directory:
`runs/<run>/<step>/`, `models/<name>/<version>/`, `mlflow.db`, `serving.db`.

A typical day:

```
almanac config check -c pipelines/configs/electricity.yaml
almanac run -c pipelines/configs/electricity.yaml
almanac runs show
almanac serve -c pipelines/configs/electricity.yaml
almanac forecast -c pipelines/configs/electricity.yaml --out forecast.csv
```

| exit code | meaning |
|---|---|
{rows}

A run reuses what did not change: the outputs of its inputs, the step's own settings, its code, the locked
packages and the cutoff make its key; `almanac cache explain` says what differs. Unchanged steps of earlier
runs are taken over after their files were checked against the manifest.

This page is made by `python -m pipelines.docs_cli`; a test holds it equal to `--help`.
"""


def cli_page() -> str:
    """The whole page in Markdown."""
    parser = build_parser("VERSION")
    sections = [f"## {found.prog}\n\n```\n{found.format_help().rstrip()}\n```\n" for found in all_parsers(parser)]
    rows = "\n".join(f"| {code:d} | {meaning} |" for code, meaning in EXIT_CODES.items())
    return "\n".join([_PREAMBLE.format(rows=rows), *sections])


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, depth first."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for child in action.choices.values():
                yield from all_parsers(child)


if __name__ == "__main__":
    print(cli_page(), end="")
