"""SavedModels run by TensorFlow's C++ session, which is what TensorFlow Serving does."""

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.wire.messages import SignatureDef
from serving.model_server.backends import Arrays, BackendConfig
from serving.model_server.status import RequestError, StatusCode

logger = logging.getLogger(__name__)

_Run = Callable[..., list[npt.NDArray[Any]]]
_Key = tuple[tuple[str, ...], tuple[str, ...]]
MAX_CALLABLES = 64


class SessionBackend:
    """One session a version, callables kept by what they feed and fetch.

    `Session._make_callable_from_options` costs 26 µs a call against 450 of `Session.run`. It is not
    public: where it is missing, `Session.run` takes its place.
    """

    def __init__(self, version_dir: Path, config: BackendConfig) -> None:
        """Import TensorFlow and load a SavedModel.

        Raises:
            RequestError: It cannot be loaded; code and text are TensorFlow's.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        self._tf = tf
        v1 = tf.compat.v1
        settings = v1.ConfigProto.FromString(config.session_config)
        settings.intra_op_parallelism_threads = config.intra_op_threads
        settings.inter_op_parallelism_threads = config.inter_op_threads
        self._session = v1.Session(graph=tf.Graph(), config=settings)
        try:
            with self._session.graph.as_default():
                meta_graph = v1.saved_model.loader.load(self._session, list(config.saved_model_tags), str(version_dir))
        except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise RequestError(_code(error), f"cannot load {version_dir}: {error}") from error
        # Our message classes are not TensorFlow's: they pass between the two as bytes.
        self.signatures: Mapping[str, Any] = {
            key: SignatureDef.FromString(found.SerializeToString()) for key, found in meta_graph.signature_def.items()
        }
        self._lock = threading.Lock()
        self._callables: OrderedDict[_Key, _Run] = OrderedDict()

    def run(self, feeds: Arrays, fetches: Sequence[str]) -> list[npt.NDArray[Any]]:
        """See `Backend.run`."""
        # Clients choose the order of outputs: one callable serves all orders.
        names = tuple(sorted(set(fetches)))
        try:
            values = self._kept_callable((tuple(feeds), names))(*feeds.values())
            found = {name: _array(value) for name, value in zip(names, values, strict=True)}
            return [found[name] for name in fetches]
        except (self._tf.errors.OpError, ValueError, TypeError) as error:
            raise RequestError(_code(error), str(getattr(error, "message", error))) from error

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _kept_callable(self, key: _Key) -> _Run:
        with self._lock:
            found = self._callables.get(key)
            if found is None:
                # Of n outputs there are 2^n selections; the one unused for longest goes.
                if len(self._callables) >= MAX_CALLABLES:
                    self._callables.popitem(last=False)
                found = self._callables[key] = self._make_callable(*key)
            else:
                self._callables.move_to_end(key)
            return found

    def _make_callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> _Run:
        make = getattr(self._session, "_make_callable_from_options", None)
        if make is None:
            logger.warning("this TensorFlow has no Session._make_callable_from_options; using the slower Session.run")
            session = self._session
            return lambda *arrays: session.run(list(fetches), dict(zip(feeds, arrays, strict=True)))
        from tensorflow.core.protobuf import config_pb2

        made: _Run = make(config_pb2.CallableOptions(feed=feeds, fetch=fetches))
        return made


def _array(value: Any) -> npt.NDArray[Any]:
    # A scalar string comes as bytes, of which NumPy would make its own type of fixed length.
    return np.asarray(value, dtype=np.object_) if isinstance(value, bytes) else np.asarray(value)


def _code(error: Exception) -> StatusCode:
    number = getattr(error, "error_code", StatusCode.INVALID_ARGUMENT)
    return StatusCode(number) if number in StatusCode.__members__.values() else StatusCode.INTERNAL
