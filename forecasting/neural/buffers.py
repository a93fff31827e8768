"""Memory of batches that is used again, because fresh memory costs more than the copy into it.

A batch of two weeks of hours is several MiB. Asked of the system anew for every batch, its pages cost ten times the
time of gathering the windows.
"""

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor = Any
_ALIGNMENT = 64
"""Bytes: what TensorFlow's kernels ask of a tensor that they did not allocate."""
_IDLE = sys.getrefcount(object()) + 2
"""References to a buffer that nobody else holds: the list, the loop over it, and the question itself."""


class TensorBuffers:
    """Arrays for batches of one shape or a few, and tensors that share their memory."""

    def __init__(self) -> None:
        """Empty; buffers are made when there is none left."""
        self._buffers: list[npt.NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """An array whose memory no array and no tensor holds any more; what is in it means nothing."""
        n_bytes = 4 * math.prod(shape)
        for buffer in self._buffers:
            if len(buffer) == n_bytes + _ALIGNMENT and sys.getrefcount(buffer) <= _IDLE:
                return _aligned(buffer, n_bytes).reshape(shape)
        self._buffers.append(np.empty(n_bytes + _ALIGNMENT, dtype=np.uint8))
        return _aligned(self._buffers[-1], n_bytes).reshape(shape)


def shared_tensor(array: npt.NDArray[np.float32]) -> Tensor:
    """A tensor over the memory of an array that `take` gave; it keeps the memory until TensorFlow lets go of it."""
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _aligned(buffer: npt.NDArray[np.uint8], n_bytes: int) -> npt.NDArray[np.float32]:
    first = -buffer.ctypes.data % _ALIGNMENT
    return buffer[first : first + n_bytes].view(np.float32)
