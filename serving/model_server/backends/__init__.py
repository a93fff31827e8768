"""What runs a version: LiteRT for `model.tflite`, a TensorFlow session for a SavedModel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from forecasting.contracts.artifacts import TFLITE_FILE
from serving.model_server.status import RequestError, StatusCode

SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class BackendConfig:
    """How versions are loaded."""

    prefer_tflite: bool = False
    n_interpreters: int = 4
    """TensorFlow Lite interpreters a version may have, so calls of it at the same time."""
    intra_op_threads: int = 1
    inter_op_threads: int = -1
    """Negative: operations run in the caller's thread, which is the fastest for small models."""
    saved_model_tags: tuple[str, ...] = ("serve",)
    session_config: bytes = b""
    """A serialised tensorflow.ConfigProto."""


class Backend(Protocol):
    """A loaded version; `run` may be called from several threads at once."""

    signatures: Mapping[str, Any]
    """`SignatureDef` by key."""

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Run the model.

        Args:
            feeds: Arrays by tensor name.
            fetches: Tensor names.

        Returns:
            The values of `fetches`.

        Raises:
            RequestError: The model refuses the input.
        """

    def close(self) -> None:
        """Give the memory back."""


def load_backend(version_dir: Path, config: BackendConfig) -> Backend:
    """Load a version; TensorFlow is imported only when a SavedModel is what must be loaded.

    Raises:
        RequestError: There is nothing to load (NOT_FOUND) or it cannot be loaded.
    """
    tflite = version_dir / TFLITE_FILE
    if config.prefer_tflite and tflite.is_file():
        from serving.model_server.backends.lite import LiteBackend

        return LiteBackend(tflite, n_interpreters=config.n_interpreters)
    if any((version_dir / name).is_file() for name in SAVED_MODEL_FILES):
        from serving.model_server.backends.session import SessionBackend

        return SessionBackend(version_dir, config)
    raise RequestError(
        StatusCode.NOT_FOUND,
        f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {version_dir}",
    )
