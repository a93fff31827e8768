"""A version directory as `mlflow.pyfunc.load_model` gives it back: arrays in, quantiles out. No pickle is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.contracts.artifacts import TFLITE_FILE
from forecasting.contracts.signature import FUTURE, HISTORY, STATIC
from forecasting.predictors import LitePredictor, Predictor
from forecasting.windows import ModelInputs


class ServedVersion:
    """The model of a version directory: `model.tflite` where it has one, else the SavedModel, as it is served."""

    def __init__(self, directory: Path) -> None:
        """Load it.

        Raises:
            ArtifactError: It holds no model that can be loaded.
        """
        self._predictor = _predictor(directory)

    def predict(
        self,
        inputs: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 - MLflow hands it over
    ) -> npt.NDArray[np.float32]:
        """Answer a request of `serving_default`.

        Args:
            inputs: history [B,L,C], future [B,H,F] and, where the model has static columns, static [B,S].
            params: Not used.

        Returns:
            Quantiles, then the mean where the model has one `[B,H,A]`.
        """
        arrays = {name: np.asarray(values, dtype=np.float32) for name, values in inputs.items()}
        return self._predictor.predict(ModelInputs(arrays[HISTORY], arrays[FUTURE], arrays.get(STATIC)))


def _predictor(directory: Path) -> Predictor:
    lite = directory / TFLITE_FILE
    if lite.exists():
        return LitePredictor(lite)
    from forecasting.neural.predictor import SavedModelPredictor  # TensorFlow, only where it is needed

    return SavedModelPredictor(directory)


def _load_pyfunc(path: str) -> ServedVersion:
    """What MLflow calls; the name is MLflow's."""
    return ServedVersion(Path(path))
