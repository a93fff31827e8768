"""Entry point of `almanac`: parses, calls one function, turns errors into one line and an exit code."""

import argparse
import contextlib
import logging
import os
import pkgutil
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from forecasting.command_word import COMMAND_VARIABLE
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HOME_VARIABLE
from forecasting.errors import AlmanacError, NotInThisVersionError
from forecasting.full_disk import full_disk_error, is_full_disk
from forecasting.version import VERSION
from pipelines.parser import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `almanac`; none: those of this process.

    Returns:
        Exit code (`forecasting.contracts.codes.ExitCode`).
    """
    parser = build_parser(VERSION)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown and parsed.function is not None:
        parser.error(f"almanac {parsed.command} does not know {' '.join(unknown)}; see almanac {parsed.command} --help")
    logging.basicConfig(
        level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    with _environment(parsed.home):
        return _answer(parsed)


@contextlib.contextmanager
def _environment(home: str | None) -> Iterator[None]:
    """What this process, and those that it starts, find in the environment; afterwards it is as it was."""
    before = os.environ.copy()
    os.environ[COMMAND_VARIABLE] = _word_as_called() + (f" --home {shlex.quote(home)}" if home else "")
    if home:
        os.environ[HOME_VARIABLE] = str(Path(home).resolve())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _word_as_called() -> str:
    """`almanac` where that is on the PATH, else the way to it."""
    called = Path(sys.argv[0])
    if called.name != "almanac" or shutil.which("almanac") == str(called.resolve()):
        return "almanac"
    return shlex.quote(os.path.relpath(called))


def _answer(parsed: argparse.Namespace) -> int:
    try:
        if parsed.function is None:
            raise NotInThisVersionError(f"almanac {parsed.command} is not in this version")
        code = int(pkgutil.resolve_name(parsed.function)(parsed))
        # What cannot be written is told of here; at the end of the process it would be no error of ours.
        sys.stdout.flush()
        return code
    except AlmanacError as error:
        return _report(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _report("stopped", ExitCode.STOPPED)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough. Keep Python from failing when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001 - the outermost edge: what arrives here is a bug, and is written down
        if is_full_disk(error):
            found = full_disk_error(error)
            return _report(str(found), found.exit_code)
        return _report(
            f"{type(error).__name__}: {error} (a bug; {_write_traceback(error)} has the details)", ExitCode.BUG
        )


def _report(message: str, code: ExitCode) -> int:
    print(f"almanac: {message}", file=sys.stderr, flush=True)
    return int(code)


def _write_traceback(error: Exception) -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="almanac-", suffix=".log", delete=False, encoding="utf-8"
    ) as stream:  # fmt: skip
        stream.write("".join(traceback.format_exception(error)))
    return stream.name


if __name__ == "__main__":
    sys.exit(main())
