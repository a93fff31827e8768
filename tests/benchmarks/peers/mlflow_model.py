"""The same interpreter as an MLflow model: `mlflow_model.py MODEL.tflite FOLDER` saves it; `mlflow models serve` runs it."""

import sys
import threading

import mlflow.pyfunc
import numpy as np


class Forecaster(mlflow.pyfunc.PythonModel):
    """One interpreter."""

    def load_context(self, context) -> None:
        """Load the model."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=context.artifacts["model"], num_threads=1)
        interpreter.allocate_tensors()
        self._runner = interpreter.get_signature_runner()
        # The scoring server calls from several threads, an interpreter serves one.
        self._lock = threading.Lock()

    def predict(self, context, model_input, params=None):
        """Inputs by name to outputs."""
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in model_input.items()}
        with self._lock:
            return next(iter(self._runner(**arrays).values()))


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[2], python_model=Forecaster(), artifacts={"model": sys.argv[1]}, pip_requirements=[]
    )
