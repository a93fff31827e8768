"""What runs a version: LiteRT for `model.tflite`, a TensorFlow session for a SavedModel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from forecasting.contracts.artifacts import TFLITE_FILE
from serving.model_server.status import RequestError, StatusCode

SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")

Arrays = dict[str, npt.NDArray[Any]]


class Backend(Protocol):
    """A loaded version; `run` may be called from several threads at once."""

    signatures: Mapping[str, Any]
    """`SignatureDef` by key."""

    def run(self, signature: Any, feeds: Arrays, fetches: Sequence[str]) -> Arrays:
        """Run the model.

        Args:
            signature: One of `signatures`.
            feeds: Arrays by input alias; already checked against the signature.
            fetches: Output aliases.

        Raises:
            RequestError: The model refuses the input.
        """

    def close(self) -> None:
        """Give the memory back."""


def load_backend(version_dir: Path, *, prefer_tflite: bool, threads: int = 1) -> Backend:
    """Load a version; TensorFlow is imported only when a SavedModel is what must be loaded.

    Raises:
        RequestError: There is nothing to load (NOT_FOUND) or it cannot be loaded.
    """
    tflite = version_dir / TFLITE_FILE
    if prefer_tflite and tflite.is_file():
        from serving.model_server.backends.lite import LiteBackend

        return LiteBackend(tflite)
    if any((version_dir / name).is_file() for name in SAVED_MODEL_FILES):
        from serving.model_server.backends.session import SessionBackend

        return SessionBackend(version_dir, threads=threads)
    raise RequestError(
        StatusCode.NOT_FOUND,
        f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {version_dir}",
    )
