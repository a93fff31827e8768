"""The same interpreter as a BentoML service; `bentoml serve` runs it."""

import os
import threading

import bentoml
import numpy as np
from ai_edge_litert.interpreter import Interpreter


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Forecaster:
    """One worker, one interpreter."""

    def __init__(self) -> None:
        """Load the model of MODEL_PATH."""
        interpreter = Interpreter(model_path=os.environ["MODEL_PATH"], num_threads=1)
        interpreter.allocate_tensors()
        self._runner = interpreter.get_signature_runner()
        # Calls come from several threads, an interpreter serves one.
        self._lock = threading.Lock()

    @bentoml.api
    def predict(self, inputs: dict) -> dict:
        """Inputs by name to outputs."""
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in inputs.items()}
        with self._lock:
            return {"outputs": next(iter(self._runner(**arrays).values())).tolist()}
