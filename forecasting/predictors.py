"""Predictors: anything that maps model inputs to quantiles, and a mean where it has one. This module needs no TensorFlow."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs


class Predictor(Protocol):
    """A model as its users see it."""

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """Quantiles in the target's unit, ascending, then the mean where the model has one `[B,H,A]`."""


class LitePredictor:
    """A TensorFlow Lite model run by LiteRT, one thread, any batch size."""

    def __init__(self, model: Path | bytes) -> None:
        """Load `model.tflite`, or what is to be written there.

        Raises:
            ArtifactError: The file is missing, no model, or has no `serving_default`.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._path = path = "the converted model" if isinstance(model, bytes) else model
        try:
            self._interpreter = (
                Interpreter(model_content=model, num_threads=1)
                if isinstance(model, bytes)
                else Interpreter(model_path=str(model), num_threads=1)
            )
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} must be a TensorFlow Lite model: {error}") from error
        signatures = self._interpreter.get_signature_list()
        if SERVING_DEFAULT not in signatures:
            raise ArtifactError(f"{path} must have the signature {SERVING_DEFAULT}, found {sorted(signatures)}")
        self._inputs = self._interpreter.get_signature_runner(SERVING_DEFAULT).get_input_details()
        self._batch_size: int | None = None

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """Quantiles, then the mean where the model has one `[B,H,A]`.

        Raises:
            ArtifactError: The model fails as it runs, which some conversions do.
        """
        try:
            return self._run(inputs)
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"{self._path} fails when it is asked for a forecast: {error}") from error

    def _run(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        arrays = inputs.as_dict()
        self._resize(len(inputs))
        for name, detail in self._inputs.items():
            self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(arrays[name], dtype=np.float32))
        self._interpreter.invoke()
        output = self._interpreter.get_signature_runner(SERVING_DEFAULT).get_output_details()[QUANTILES]
        result: npt.NDArray[np.float32] = self._interpreter.get_tensor(output["index"])
        return result

    def _resize(self, batch_size: int) -> None:
        if batch_size == self._batch_size:
            return
        for detail in self._inputs.values():
            shape = [batch_size, *detail["shape"][1:]]
            self._interpreter.resize_tensor_input(detail["index"], shape, strict=False)
        self._interpreter.allocate_tensors()
        self._batch_size = batch_size
