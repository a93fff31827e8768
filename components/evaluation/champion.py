"""Load the champion as it is served: its own artefact, its own feature spec."""

from dataclasses import dataclass
from pathlib import Path

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE, TFLITE_FILE
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.predictors import LitePredictor, Predictor


@dataclass(frozen=True)
class Champion:
    """A served version, ready to be asked."""

    version: int
    predictor: Predictor
    spec: FeatureSpec


def load_champion(directory: Path) -> Champion:
    """Load a version directory of the model repository.

    What ships is what is scored: `model.tflite` where the version has one, else the SavedModel.

    Args:
        directory: `<models>/<name>/<version>`.

    Raises:
        ArtifactError: The version lacks its feature spec or cannot be loaded.
    """
    try:
        spec = read_feature_spec(directory / EXPORTED_SPEC_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{directory / EXPORTED_SPEC_FILE} must hold the champion's feature spec: {error}"
        ) from error
    return Champion(int(directory.name), _predictor(directory), spec)


def _predictor(directory: Path) -> Predictor:
    lite = directory / TFLITE_FILE
    if lite.exists():
        return LitePredictor(lite)
    from forecasting.neural.predictor import SavedModelPredictor  # TensorFlow, only where it is needed

    return SavedModelPredictor(directory)
