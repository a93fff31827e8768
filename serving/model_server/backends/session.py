"""SavedModels run by TensorFlow's C++ session, which is what TensorFlow Serving does."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forecasting.wire.messages import SignatureDef
from serving.model_server.backends import Arrays
from serving.model_server.status import RequestError, StatusCode

logger = logging.getLogger(__name__)


class SessionBackend:
    """One session a version, callables kept by what they feed and fetch.

    `Session._make_callable_from_options` costs 26 µs a call against 450 of `Session.run`. It is not
    public: where it is missing, `Session.run` takes its place.
    """

    def __init__(self, version_dir: Path, *, threads: int = 1) -> None:
        """Import TensorFlow and load a SavedModel.

        Raises:
            RequestError: It cannot be loaded; code and text are TensorFlow's.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        self._tf = tf
        v1 = tf.compat.v1
        # A negative number of inter-op threads runs operations in the caller's thread.
        settings = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=-1)
        self._session = v1.Session(graph=tf.Graph(), config=settings)
        try:
            with self._session.graph.as_default():
                meta_graph = v1.saved_model.loader.load(self._session, ["serve"], str(version_dir))
        except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise RequestError(_code(error), f"cannot load {version_dir}: {error}") from error
        # Our message classes are not TensorFlow's: they pass between the two as bytes.
        self.signatures: Mapping[str, Any] = {
            key: SignatureDef.FromString(found.SerializeToString()) for key, found in meta_graph.signature_def.items()
        }
        self._lock = threading.Lock()
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], Callable[..., Any]] = {}

    def run(self, signature: Any, feeds: Arrays, fetches: Sequence[str]) -> Arrays:
        """See `Backend.run`."""
        aliases = tuple(sorted(feeds))
        key = (
            tuple(signature.inputs[alias].name for alias in aliases),
            tuple(signature.outputs[alias].name for alias in fetches),
        )
        try:
            results = self._callable(key)(*(feeds[alias] for alias in aliases))
        except (self._tf.errors.OpError, ValueError, TypeError) as error:
            raise RequestError(_code(error), str(getattr(error, "message", error))) from error
        return dict(zip(fetches, results, strict=True))

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _callable(self, key: tuple[tuple[str, ...], tuple[str, ...]]) -> Callable[..., Any]:
        with self._lock:
            if key not in self._callables:
                self._callables[key] = self._make_callable(*key)
            return self._callables[key]

    def _make_callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Callable[..., Any]:
        make = getattr(self._session, "_make_callable_from_options", None)
        if make is None:
            logger.warning("this TensorFlow has no Session._make_callable_from_options; using the slower Session.run")
            session = self._session
            return lambda *arrays: session.run(list(fetches), dict(zip(feeds, arrays, strict=True)))
        from tensorflow.core.protobuf import config_pb2

        made: Callable[..., Any] = make(config_pb2.CallableOptions(feed=feeds, fetch=fetches))
        return made


def _code(error: Exception) -> StatusCode:
    number = getattr(error, "error_code", StatusCode.INVALID_ARGUMENT)
    return StatusCode(number) if number in StatusCode.__members__.values() else StatusCode.INTERNAL
