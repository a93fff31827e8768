"""SavedModels run by TensorFlow's C++ session, which is what TensorFlow Serving does."""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.runtimes.session import Run, SavedModelSession
from forecasting.wire.messages import SignatureDef
from serving.model_server.backends import Arrays, BackendConfig
from serving.model_server.status import RequestError, StatusCode

_Key = tuple[tuple[str, ...], tuple[str, ...]]
MAX_CALLABLES = 64


class SessionBackend:
    """One session a version, callables kept by what they feed and fetch."""

    def __init__(self, version_dir: Path, config: BackendConfig) -> None:
        """Import TensorFlow and load a SavedModel.

        Raises:
            RequestError: It cannot be loaded; code and text are TensorFlow's.
        """
        # TensorFlow's own errors exist only once it is imported; they are no subclass of those here.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        self._errors = (tf.errors.OpError, ValueError, TypeError)
        try:
            self._model = SavedModelSession(
                version_dir,
                tags=config.saved_model_tags,
                intra_op_threads=config.intra_op_threads,
                inter_op_threads=config.inter_op_threads,
                session_config=config.session_config,
            )
        except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
            raise RequestError(_code(error), f"cannot load {version_dir}: {error}") from error
        # Our message classes are not TensorFlow's: they pass between the two as bytes.
        signatures = self._model.meta_graph.signature_def
        self.signatures: Mapping[str, Any] = {
            key: SignatureDef.FromString(found.SerializeToString()) for key, found in signatures.items()
        }
        self._lock = threading.Lock()
        self._callables: OrderedDict[_Key, Run] = OrderedDict()

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> list[npt.NDArray[Any]]:
        """See `Backend.run`."""
        # Clients choose the order of outputs: one callable serves all orders.
        asked = tuple(fetches)
        names = asked if len(asked) == 1 else tuple(sorted(set(asked)))
        key = (tuple(feeds), names)
        try:
            call = self._callables.get(key)
            # While there is room for all, nobody needs to know which one was used last.
            if call is None or len(self._callables) > MAX_CALLABLES // 2:
                call = self._kept_callable(key)
            found = [_array(value) for value in call(*feeds.values())]
        except self._errors as error:
            raise RequestError(_code(error), str(getattr(error, "message", error))) from error
        if names == asked:
            return found
        by_name = dict(zip(names, found, strict=True))
        return [by_name[name] for name in asked]

    def close(self) -> None:
        """Close the session."""
        self._model.close()

    def _kept_callable(self, key: _Key) -> Run:
        with self._lock:
            found = self._callables.get(key)
            if found is None:
                # Of n outputs there are 2^n selections; the one unused for longest goes.
                if len(self._callables) >= MAX_CALLABLES:
                    self._callables.popitem(last=False)
                found = self._callables[key] = self._model.prepare(*key)
            else:
                self._callables.move_to_end(key)
            return found


def _array(value: Any) -> npt.NDArray[Any]:
    # A scalar string comes as bytes, of which NumPy would make its own type of fixed length.
    return np.asarray(value, dtype=np.object_) if isinstance(value, bytes) else np.asarray(value)


def _code(error: Exception) -> StatusCode:
    number = getattr(error, "error_code", StatusCode.INVALID_ARGUMENT)
    return StatusCode(number) if number in StatusCode.__members__.values() else StatusCode.INTERNAL
