"""Ends an operation at each of its calls to the file system: by a kill, or by an error of the disk.

The operation runs in a child of its own, so that a kill is a real one. Points are the calls by which a file system
changes what names lead to and what is on disk; data that is not on disk yet has no name that a reader would take.
"""

import errno
import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from forecasting.errors import RetryableError
from forecasting.full_disk import is_full_disk

POINTS = ("fsync", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "sendfile", "truncate", "symlink")
"""Functions of `os` that count as points."""
_DONE, _RAISED = 0, 3


class Interruption(StrEnum):
    """What happens at a point."""

    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    NO_SPACE = "no space"
    IO_ERROR = "io error"


_ERRORS = {Interruption.NO_SPACE: errno.ENOSPC, Interruption.IO_ERROR: errno.EIO}
_FAILING = ("fsync", "rename", "replace", "mkdir", "sendfile")
"""Calls that a full or broken disk refuses."""


def count_points(operation: Callable[[], object]) -> tuple[str, ...]:
    """The points of an operation in their order, which it runs through to its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        names: list[str] = []
        _watch(lambda name, call: (names.append(name), call())[1])
        _run(operation, lambda: os.write(writer, " ".join(names).encode()))
    os.close(writer)
    with os.fdopen(reader) as stream:
        names_found = stream.read().split()
    if (code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != _DONE:
        raise AssertionError(f"the operation must end well when nothing disturbs it, found exit code {code}")
    return tuple(names_found)


def interrupted(operation: Callable[[], object], *, point: int, how: Interruption) -> None:
    """Run an operation in a child up to a point, from 0, at which it is killed or gets an error.

    Raises:
        AssertionError: The child did not end as it should: killed, by the error, or well in spite of that.
    """
    child = os.fork()
    if not child:
        count = -1

        def end(name: str, call: Callable[[], Any]) -> Any:
            nonlocal count
            count += 1
            if count != point:
                return call()
            if how in _ERRORS:
                raise OSError(_ERRORS[how], os.strerror(_ERRORS[how]))
            try:
                return call() if how is Interruption.KILL_AFTER else None
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

        _watch(end)
        _run(operation, lambda: None)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # An error of making a directory that is there already, or of tidying up, may be outlived.
    expected = (_RAISED, _DONE) if how in _ERRORS else (-signal.SIGKILL,)
    if code not in expected:
        raise AssertionError(f"{how} at point {point} must end the operation with one of {expected}, found {code}")


def ways(name: str) -> tuple[Interruption, ...]:
    """What can happen at a point of a name."""
    return tuple(Interruption) if name in _FAILING else (Interruption.KILL_BEFORE, Interruption.KILL_AFTER)


def _watch(seen: Callable[[str, Callable[[], Any]], Any]) -> None:
    for name in POINTS:
        setattr(os, name, _watched(name, getattr(os, name), seen))


def _watched(
    name: str, function: Callable[..., Any], seen: Callable[[str, Callable[[], Any]], Any]
) -> Callable[..., Any]:
    return lambda *arguments, **named: seen(name, lambda: function(*arguments, **named))


def _run(operation: Callable[[], object], afterwards: Callable[[], object]) -> None:
    """Run and end this process without any of pytest's own work at exit."""
    code = 1
    try:
        operation()
        afterwards()
        code = _DONE
    except (OSError, RetryableError) as error:
        # A full disk may be told as an error that passes.
        code = _RAISED if isinstance(error, OSError) or is_full_disk(error.__cause__ or error) else 1
    finally:
        os._exit(code)
