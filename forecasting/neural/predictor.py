"""A SavedModel as a `forecasting.predictors.Predictor`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs


class SavedModelPredictor:
    """Calls `serving_default` of a SavedModel in this process."""

    def __init__(self, directory: Path) -> None:
        """Load it.

        Raises:
            ArtifactError: There is no SavedModel, or it lacks the signature.
        """
        try:
            self._model = tf.saved_model.load(str(directory))
            self._serve = self._model.signatures[SERVING_DEFAULT]
        except (OSError, KeyError) as error:
            raise ArtifactError(
                f"{directory} must hold a SavedModel with the signature {SERVING_DEFAULT}: {error}"
            ) from error

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """Quantiles, then the mean where the model has one `[B,H,A]`."""
        arrays = {name: tf.constant(array) for name, array in inputs.as_dict().items()}
        result: npt.NDArray[np.float32] = self._serve(**arrays)[QUANTILES].numpy()
        return result
