"""Entry point of `almanac`: parses, calls one function, turns errors into one line and an exit code."""

import logging
import os
import pkgutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HOME_VARIABLE
from forecasting.errors import AlmanacError, NotInThisVersionError
from pipelines.parser import build_parser

VERSION = "0.1.0"


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
    if parsed.home:
        os.environ[HOME_VARIABLE] = str(Path(parsed.home).resolve())
    try:
        if parsed.function is None:
            raise NotInThisVersionError(f"almanac {parsed.command} is not in this version")
        return int(pkgutil.resolve_name(parsed.function)(parsed))
    except AlmanacError as error:
        return _report(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _report("stopped", ExitCode.STOPPED)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough. Keep Python from failing when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001 - the outermost edge: what arrives here is a bug, and is written down
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
