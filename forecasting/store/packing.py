"""Arrays as bytes, little-endian, and back."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.observed_history import NOT_OBSERVED

BLOCK_STEPS = 128
"""Steps of an observed column in one row: what one value rewrites, and what one row of a read brings."""

_LEVEL, _ANSWER, _NUMBER, _TIME = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i8")
EMPTY_NUMBERS = np.full(BLOCK_STEPS, np.nan, _NUMBER).tobytes()
EMPTY_KNOWN_AT = np.full(BLOCK_STEPS, NOT_OBSERVED, _TIME).tobytes()


@dataclass(frozen=True)
class GridSpec:
    """Where the steps of a series lie: every time is `phase_s` more than a multiple of `step_s`."""

    step_s: int
    phase_s: int

    @classmethod
    def of(cls, step_s: int, time: int) -> "GridSpec":
        """The grid with a step at a time."""
        return cls(step_s, time % step_s)

    @property
    def block_s(self) -> int:
        """Seconds of one block."""
        return BLOCK_STEPS * self.step_s

    def on_grid(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether each time is a step."""
        found: npt.NDArray[np.bool_] = (times - self.phase_s) % self.step_s == 0
        return found

    def block_start(self, time: int) -> int:
        """First step of the block that a time lies in."""
        return self.phase_s + (time - self.phase_s) // self.block_s * self.block_s

    def block_starts(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """First step of the block that each time lies in."""
        found: npt.NDArray[np.int64] = self.phase_s + (times - self.phase_s) // self.block_s * self.block_s
        return found


def pack_levels(levels: Iterable[float]) -> bytes:
    """Quantile levels."""
    return np.fromiter(levels, dtype=_LEVEL).tobytes()


def unpack_levels(packed: bytes) -> tuple[float, ...]:
    """Quantile levels."""
    return tuple(np.frombuffer(packed, _LEVEL).tolist())


def pack_answers(answers: npt.NDArray[np.float32]) -> list[bytes]:
    """Answers `[N,H,A]`, each of N."""
    packed, size = answers.astype(_ANSWER, copy=False).tobytes(), _ANSWER.itemsize * int(np.prod(answers.shape[1:]))
    return [packed[first : first + size] for first in range(0, len(packed), size)]


def unpack_answers(packed: bytes, n_steps: int) -> npt.NDArray[np.float32]:
    """Answers `[H,A]`."""
    return np.frombuffer(packed, _ANSWER).reshape(n_steps, -1).astype(np.float32, copy=False)


def unpack_numbers(packed: Iterable[bytes]) -> npt.NDArray[np.float64]:
    """Values of some blocks `[n blocks, BLOCK_STEPS]`, which may be written to."""
    return np.frombuffer(bytearray().join(packed), _NUMBER).reshape(-1, BLOCK_STEPS)


def unpack_known_at(packed: Iterable[bytes]) -> npt.NDArray[np.int64]:
    """Times of some blocks `[n blocks, BLOCK_STEPS]`, which may be written to."""
    return np.frombuffer(bytearray().join(packed), _TIME).reshape(-1, BLOCK_STEPS)


def pack_rows(blocks: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> list[bytes]:
    """Each row of `[n blocks, BLOCK_STEPS]`, values or times."""
    little = np.ascontiguousarray(blocks.astype(blocks.dtype.newbyteorder("<"), copy=False))
    return [row.tobytes() for row in little]


def pack_times(rows: npt.NDArray[np.int64]) -> bytes:
    """Times or keys `[R,N]`, row by row."""
    return rows.astype(_TIME, copy=False).tobytes()


def unpack_times(packed: bytes, n_rows: int) -> npt.NDArray[np.int64]:
    """Times or keys `[R,N]`."""
    return np.frombuffer(packed, _TIME).reshape(n_rows, -1).astype(np.int64, copy=False)
