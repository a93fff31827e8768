"""Arrays of forecasts: in memory while they are small, in a nameless file beyond that."""

import math
import tempfile

import numpy as np
import numpy.typing as npt

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
    """
    if 4 * math.prod(shape) < in_memory_bytes:
        return np.empty(shape, dtype=np.float32) if fill is None else np.full(shape, fill, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="almanac-forecasts-") as file:
        array = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
    if fill is not None:
        array[...] = fill
    return array
