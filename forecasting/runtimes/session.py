"""A SavedModel in a session of TensorFlow's C++ runtime, which is what TensorFlow Serving does."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

logger = logging.getLogger(__name__)

Run = Callable[..., list[npt.NDArray[Any]]]
"""Takes the arrays of the feeds in their order, returns the values of the fetches."""


class SavedModelSession:
    """A loaded SavedModel.

    `Session._make_callable_from_options` costs 26 µs a call against 450 of `Session.run`. It is not
    public: where it is missing, `Session.run` takes its place.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tags: Sequence[str] = ("serve",),
        intra_op_threads: int = 1,
        inter_op_threads: int = -1,
        session_config: bytes = b"",
    ) -> None:
        """Import TensorFlow and load a SavedModel; TensorFlow's own errors pass through.

        Args:
            directory: The SavedModel.
            tags: Of the graph to load.
            intra_op_threads: Threads within an operation.
            inter_op_threads: Negative: operations run in the caller's thread, which is the fastest for small models.
            session_config: A serialised tensorflow.ConfigProto.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        self.tf = tf
        v1 = tf.compat.v1
        settings = v1.ConfigProto.FromString(session_config)
        settings.intra_op_parallelism_threads = intra_op_threads
        settings.inter_op_parallelism_threads = inter_op_threads
        self._settings = settings
        self._session = v1.Session(graph=tf.Graph(), config=settings)
        try:
            with self._session.graph.as_default():
                self.meta_graph = v1.saved_model.loader.load(self._session, list(tags), str(directory))
        except (tf.errors.OpError, OSError, RuntimeError, ValueError):
            self._session.close()
            raise

    def freeze(self, fetches: Sequence[str]) -> None:
        """Make constants of the variables that some tensors hang on, which costs seconds once and saves some time a call."""
        v1 = self.tf.compat.v1
        names = [name.partition(":")[0] for name in fetches]
        graph = v1.graph_util.convert_variables_to_constants(
            self._session, self._session.graph.as_graph_def(), output_node_names=names
        )
        frozen = v1.Session(graph=self.tf.Graph(), config=self._settings)
        with frozen.graph.as_default():
            v1.import_graph_def(graph, name="")
        self._session.close()
        self._session = frozen

    def prepare(self, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """A function from arrays to arrays, by tensor names."""
        make = getattr(self._session, "_make_callable_from_options", None)
        if make is None:
            logger.warning("this TensorFlow has no Session._make_callable_from_options; using the slower Session.run")
            session = self._session
            return lambda *arrays: session.run(list(fetches), dict(zip(feeds, arrays, strict=True)))
        from tensorflow.core.protobuf import config_pb2

        made: Run = make(config_pb2.CallableOptions(feed=feeds, fetch=fetches))
        return made

    def close(self) -> None:
        """Close the session."""
        self._session.close()
