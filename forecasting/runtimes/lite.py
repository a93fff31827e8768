"""A TensorFlow Lite model in one interpreter of LiteRT, at any batch size; no TensorFlow in the process."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class LiteSlot:
    """One interpreter and the shapes it is allocated for; it serves one call at a time."""

    def __init__(self, model: bytes) -> None:
        """Make an interpreter of one thread; LiteRT's own errors pass through."""
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self.inputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_input_details()}
        self.outputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_output_details()}
        self._shapes: tuple[tuple[str, tuple[int, ...]], ...] | None = None

    def run(self, feeds: Mapping[str, npt.NDArray[Any]], fetches: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Feed and fetch by tensor name."""
        interpreter = self._interpreter
        shapes = tuple((name, array.shape) for name, array in feeds.items())
        if shapes != self._shapes:
            # Forget the old shapes first: after a failure in between, the next call must allocate again.
            self._shapes = None
            for name, shape in shapes:
                interpreter.resize_tensor_input(self.inputs[name], shape, strict=False)
            interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in feeds.items():
            interpreter.set_tensor(self.inputs[name], np.ascontiguousarray(array))
        interpreter.invoke()
        return [_plain(interpreter.get_tensor(self.outputs[name])) for name in fetches]


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.object_) if array.dtype.kind == "S" else array
