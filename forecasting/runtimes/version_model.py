"""The model of a version as the model server runs it, in this process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.admission.loading import AdmissionConfig, admit
from forecasting.contracts.artifacts import TFLITE_FILE
from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs

_SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _LoadedModel:
    """sizes: of the inputs by name, none of unknown rank. run: forecasts `[B,H,A]` for inputs by name. errors: of its runtime."""

    sizes: Mapping[str, tuple[int, ...] | None]
    run: Callable[[Arrays], npt.NDArray[np.float32]]
    close: Callable[[], None]
    errors: tuple[type[Exception], ...]


class VersionModel:
    """`model.tflite` where a version has one, else its SavedModel, for which TensorFlow is imported; use it as a context."""

    def __init__(self, version_dir: Path) -> None:
        """Load a version.

        Raises:
            ArtifactError: There is no model with `serving_default`, it cannot be loaded, or may not be (`VersionRefusedError`).
        """
        admit(version_dir, AdmissionConfig())
        lite = version_dir / TFLITE_FILE
        self._place = lite if lite.is_file() else version_dir
        self._loaded = _lite(lite) if lite.is_file() else _saved_model(version_dir)

    def __enter__(self) -> "VersionModel":
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded.close()

    def answer(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """Quantiles, then the mean where the model has one `[B,H,A]`.

        Raises:
            ArtifactError: The model takes other inputs, or fails.
        """
        arrays = inputs.as_dict()
        wanted = self._loaded.sizes
        if set(wanted) != set(arrays):
            raise ArtifactError(f"{self._place} takes {sorted(wanted)}, and its feature spec says {sorted(arrays)}")
        for name, array in arrays.items():
            if not _fits(wanted[name], array.shape):
                raise ArtifactError(
                    f"{self._place} takes {name!r} in the shape {wanted[name]}, -1 being any, found {array.shape}"
                )
        try:
            return self._loaded.run(arrays)
        except self._loaded.errors as error:
            why = getattr(error, "message", error)
            raise ArtifactError(f"{self._place} fails when it is asked for a forecast: {why}") from error


def _lite(path: Path) -> _LoadedModel:
    from forecasting.runtimes.lite import LiteSlot
    from forecasting.wire.lite_signatures import read_signatures

    errors = (ValueError, RuntimeError)
    try:
        model = path.read_bytes()
        slot, signatures = LiteSlot(model), read_signatures(model)
    except (OSError, *errors) as error:
        raise ArtifactError(f"{path} must be a TensorFlow Lite model: {error}") from error
    signature = _required(signatures, path)
    inputs = {name: _known(info.name, slot.inputs) for name, info in signature.inputs.items()}
    output = _known(signature.outputs[QUANTILES].name, slot.outputs)
    return _LoadedModel(
        _sizes(signature),
        lambda arrays: slot.run({inputs[name]: array for name, array in arrays.items()}, [output])[0],
        lambda: None,
        errors,
    )


def _known(name: str, tensors: Mapping[str, int]) -> str:
    """The converter may have cut ':0' off the name of a tensor."""
    return name if name in tensors else name.partition(":")[0]


def _saved_model(folder: Path) -> _LoadedModel:
    if not any((folder / name).is_file() for name in _SAVED_MODEL_FILES):
        raise ArtifactError(f"{folder} must hold {TFLITE_FILE} or a SavedModel, found neither")
    import tensorflow as tf

    from forecasting.runtimes.session import SavedModelSession

    try:
        session = SavedModelSession(folder)
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(f"{folder} must hold a SavedModel that can be loaded: {error}") from error
    signature = _required(session.meta_graph.signature_def, folder)
    names = sorted(signature.inputs)
    call = session.prepare([signature.inputs[name].name for name in names], [signature.outputs[QUANTILES].name])
    return _LoadedModel(
        _sizes(signature),
        lambda arrays: call(*(arrays[name] for name in names))[0],
        session.close,
        (tf.errors.OpError, ValueError, TypeError),
    )


def _sizes(signature: Any) -> dict[str, tuple[int, ...] | None]:
    shapes = {name: found.tensor_shape for name, found in signature.inputs.items()}
    return {name: None if one.unknown_rank else tuple(int(dim.size) for dim in one.dim) for name, one in shapes.items()}


def _fits(sizes: tuple[int, ...] | None, shape: tuple[int, ...]) -> bool:
    """As the model server checks it: a graph may answer nonsense for a shorter history; a size of one is left to the model."""
    if sizes is None or max(sizes, default=0) <= 1:
        return True
    return len(sizes) == len(shape) and all(
        size <= 1 or size == found for size, found in zip(sizes, shape, strict=True)
    )


def _required(signatures: Mapping[str, Any], place: Path) -> Any:
    if SERVING_DEFAULT not in signatures or QUANTILES not in signatures[SERVING_DEFAULT].outputs:
        found = sorted(signatures)
        raise ArtifactError(f"{place} must have the signature {SERVING_DEFAULT} with {QUANTILES!r}, found {found}")
    return signatures[SERVING_DEFAULT]
