"""File locks of the operating system: they end with the process that holds them, however it ends."""

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from forecasting.errors import RetryableError

_PATIENCE_S = 0.2
_PROCESS_SPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class LockHolderRecord:
    """Who holds a lock.

    process: its number, 0 where it has not said yet. host: where that number means this process; a volume that hosts
    share shows locks of all of them.
    """

    process: int
    host: str

    @property
    def is_here(self) -> bool:
        """Whether `process` is the number of a process that this one may look for."""
        return self.process > 0 and self.host == this_host()


def this_host() -> str:
    """Where process numbers are those of this process: the host, and on Linux the space of numbers, one a container."""
    space = str(_PROCESS_SPACE.readlink()) if _PROCESS_SPACE.is_symlink() else ""
    return f"{platform.node() or 'unknown'}/{space}"


def lock_holder(path: Path) -> LockHolderRecord | None:
    """Who holds a lock file of `exclusive_lock`, none where nobody does."""
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            process, _, host = stream.read().strip().partition(" ")
            return LockHolderRecord(int(process or 0), host)
    return None


@contextmanager
def exclusive_lock(path: Path, taken: str) -> Iterator[None]:
    """Hold a file lock of the operating system; the file names the process that holds it.

    Args:
        path: The lock file; it stays, an unlocked one means nothing.
        taken: What is the matter when it is taken, for the message.

    Raises:
        RetryableError: Another process holds it.
    """
    with path.open("a+", encoding="utf-8") as stream:
        _take(stream, taken)
        stream.truncate(0)
        stream.write(f"{os.getpid()} {this_host()}")
        stream.flush()
        yield


def _take(stream: TextIO, taken: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            # Someone may only be looking, which is over at once.
            if time.monotonic() < deadline:
                time.sleep(_PATIENCE_S / 10)
                continue
            stream.seek(0)
            process, _, host = stream.read().strip().partition(" ")
            where = f" on {host}" if host not in ("", this_host()) else ""
            raise RetryableError(
                f"{taken} (process {process or 'unknown'}{where}); wait for it or stop it, then try again"
            ) from error
        return
