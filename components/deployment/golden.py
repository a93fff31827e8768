"""The golden request: one window and its answer, replayed on the server that is to serve the version."""

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import FUTURE, HISTORY, QUANTILES, STATIC
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs

GOLDEN_FILE = "golden.npz"


def write_golden(path: Path, inputs: ModelInputs, quantiles: npt.NDArray[np.float32]) -> None:
    """Store a request and the answer of the model in this process."""
    np.savez_compressed(path, **inputs.as_dict(), **{QUANTILES: quantiles})  # type: ignore[arg-type]


def read_golden(path: Path) -> tuple[ModelInputs, npt.NDArray[np.float32]]:
    """Read a request and its answer.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            static = arrays.get(STATIC)
            return ModelInputs(arrays[HISTORY], arrays[FUTURE], static), arrays[QUANTILES]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} must hold the golden request: {error}; run validate_serving again") from error
