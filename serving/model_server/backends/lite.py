"""TensorFlow Lite models run by LiteRT; no TensorFlow in the process."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.errors import ArtifactError
from forecasting.wire.lite_signatures import read_signatures
from serving.model_server.backends import Arrays
from serving.model_server.status import RequestError, StatusCode, invalid


class _Slot:
    """One interpreter and the shapes it is allocated for."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._inputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_input_details()}
        self._outputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_output_details()}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> Arrays:
        """Feed and fetch by tensor name."""
        shapes = {name: array.shape for name, array in feeds.items()}
        if shapes != self._shapes:
            # Forget the old shapes first: after a failure in between, the next call must allocate again.
            self._shapes = {}
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._inputs[name], shape, strict=False)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in feeds.items():
            self._interpreter.set_tensor(self._inputs[name], np.ascontiguousarray(array))
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(self._outputs[name]) for name in fetches}


class LiteBackend:
    """As many interpreters as calls ran at once, never more: an interpreter serves one call at a time."""

    def __init__(self, path: Path) -> None:
        """Load a model and make its first interpreter.

        Raises:
            RequestError: The file is no TensorFlow Lite model.
        """
        self._model = path.read_bytes()
        self._lock = threading.Lock()
        try:
            self.signatures: Mapping[str, Any] = read_signatures(self._model)
            self._idle: list[_Slot] = [_Slot(self._model)]
        except (ArtifactError, ValueError, RuntimeError) as error:
            raise RequestError(StatusCode.INVALID_ARGUMENT, f"cannot load {path}: {error}") from error

    def run(self, signature: Any, feeds: Arrays, fetches: Sequence[str]) -> Arrays:
        """See `Backend.run`."""
        by_tensor = {signature.inputs[alias].name: array for alias, array in feeds.items()}
        names = [signature.outputs[alias].name for alias in fetches]
        with self._lock:
            slot = self._idle.pop() if self._idle else None
        slot = slot or _Slot(self._model)
        try:
            found = slot.run(by_tensor, names)
        except (ValueError, RuntimeError) as error:
            # The interpreter is not used again: a failed allocation leaves it in a state nobody documents.
            raise invalid(f"the model refused the input: {error}") from error
        with self._lock:
            self._idle.append(slot)
        return {alias: found[name] for alias, name in zip(fetches, names, strict=True)}

    def close(self) -> None:
        """Drop the interpreters."""
        with self._lock:
            self._idle.clear()
