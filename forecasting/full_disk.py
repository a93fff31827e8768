"""A full disk: a passing condition, which whoever waits or makes room gets past."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from forecasting.errors import AlmanacError, RetryableError

_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|database or disk is full|\d+ requested and \d+ written", re.IGNORECASE
)
"""What libraries say that write by other means than Python's own; the last is NumPy's, of a part of an array."""


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that a disk has no more room, or its user none on it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _ERRNOS
    return _WORDS.search(str(error)) is not None


def full_disk_error(error: BaseException) -> RetryableError:
    """The error of a full disk as one that may be tried again."""
    file = error.filename if isinstance(error, OSError) else None
    where = f", which {file} needs" if file else f": {error}"
    return RetryableError(f"the disk must have room{where}; make some (`almanac gc` removes old runs), then try again")


@contextmanager
def full_disk_passes() -> Iterator[None]:
    """Write within: what a full disk refuses may be tried again once there is room.

    Raises:
        RetryableError: The disk is full.
    """
    try:
        yield
    except AlmanacError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise full_disk_error(error) from error
        raise
