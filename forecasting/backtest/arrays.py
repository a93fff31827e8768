"""Arrays of forecasts: in memory while they are small, in a nameless file beyond that."""

import math
import os
import tempfile

import numpy as np
import numpy.typing as npt

from forecasting.formats import as_bytes

IN_MEMORY_BYTES = 1 << 26
"""Larger arrays lie in a file, whose pages the system may drop from memory and read again."""


def forecast_array(
    shape: tuple[int, ...], *, fill: float | None = None, in_memory_bytes: int = IN_MEMORY_BYTES
) -> npt.NDArray[np.float32]:
    """An array float32 to be filled block by block.

    The file has no name and is gone with the array; it lies in the folder for temporary files (TMPDIR).

    Args:
        shape: Its shape.
        fill: What it holds at first; none: anything.
        in_memory_bytes: Size from which it lies in a file.

    Raises:
        OSError: The folder for temporary files has no room for it.
    """
    n_bytes = 4 * math.prod(shape)
    if n_bytes < in_memory_bytes:
        return np.empty(shape, dtype=np.float32) if fill is None else np.full(shape, fill, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="almanac-forecasts-") as file:
        _allocate(file.fileno(), n_bytes)
        array = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
    if fill is not None:
        array[...] = fill
    return array


def _allocate(descriptor: int, n_bytes: int) -> None:
    """Take the room of a file before it is mapped: a write to a mapped page that finds none kills the process (SIGBUS)."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, n_bytes)
        else:  # macOS
            _write_zeros(descriptor, n_bytes)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{tempfile.gettempdir()} must have room for {as_bytes(n_bytes)} of forecasts, found {error.strerror}; "
            "free some, or set TMPDIR to another folder",
        ) from error


def _write_zeros(descriptor: int, n_bytes: int) -> None:
    block = bytes(2**20)
    for first in range(0, n_bytes, len(block)):
        os.pwrite(descriptor, block[: n_bytes - first], first)
