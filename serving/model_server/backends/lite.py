"""TensorFlow Lite models run by LiteRT; no TensorFlow in the process."""

import queue
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from forecasting.errors import ArtifactError
from forecasting.runtimes.lite import LiteSlot
from forecasting.wire.lite_signatures import read_signatures
from serving.model_server.backends import Arrays
from serving.model_server.status import RequestError, StatusCode, invalid

_MAX_SIZE = 2**31 - 1
"""LiteRT keeps sizes in 32 bits."""


class LiteBackend:
    """As many interpreters as calls ran at once, up to a limit: an interpreter serves one call at a time."""

    def __init__(self, path: Path, *, n_interpreters: int) -> None:
        """Load a model and make its first interpreter.

        Raises:
            RequestError: The file is no TensorFlow Lite model, or its signatures name tensors that it lacks.
        """
        self._model = path.read_bytes()
        # Both are C and take a tenth of a microsecond; threading's semaphore and the other queues take two each.
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(max(1, n_interpreters)):
            self._places.put(None)
        self._idle: deque[LiteSlot] = deque()
        try:
            self.signatures: Mapping[str, Any] = read_signatures(self._model)
            first = LiteSlot(self._model)
        except (ArtifactError, ValueError, RuntimeError) as error:
            raise invalid(f"cannot load {path}: {error}") from error
        for signature in self.signatures.values():
            _fix_names(signature.inputs, first.inputs, "input")
            _fix_names(signature.outputs, first.outputs, "output")
        self._idle.append(first)

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> list[npt.NDArray[Any]]:
        """See `Backend.run`."""
        _require_sizes(feeds)
        # An interpreter comes back only from a call that succeeded: a failed allocation leaves it in a state nobody
        # documents. Its place is free again whatever happens, and the next call makes another.
        self._places.get()
        try:
            slot = self._take()
            found = slot.run(feeds, fetches)
            self._idle.append(slot)
        except (ValueError, RuntimeError, OverflowError) as error:
            raise invalid(f"the model refused the input: {error}") from error
        finally:
            self._places.put(None)
        return found

    def close(self) -> None:
        """Drop the interpreters."""
        self._idle.clear()

    def _take(self) -> LiteSlot:
        try:
            return self._idle.pop()
        except IndexError:
            return LiteSlot(self._model)


def _require_sizes(feeds: Arrays) -> None:
    for name, array in feeds.items():
        if max(array.shape, default=0) > _MAX_SIZE:
            raise invalid(f"input {name}: sizes must not exceed {_MAX_SIZE}, found shape {list(array.shape)}")


def _fix_names(infos: Mapping[str, Any], known: Iterable[str], kind: str) -> None:
    """Let a signature's tensors be found where the converter has cut ':0' off their names."""
    names = set(known)
    for alias, info in infos.items():
        if info.name in names:
            continue
        short = info.name.partition(":")[0]
        if short not in names:
            raise RequestError(
                StatusCode.INTERNAL,
                f"Signature {kind} {alias} references an unknown tensor: Unknown tensor '{info.name}'.",
            )
        info.name = short
