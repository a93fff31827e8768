"""SavedModels in a session, with TensorFlow in this process."""

import itertools

import numpy as np
import pytest

from serving.model_server.backends import BackendConfig
from serving.model_server.backends.session import MAX_CALLABLES, SessionBackend


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """Eight outputs: the input times 0 to 7."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("eight") / "1"
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.float32, name="x")
    module.serve = tf.function(lambda x: {f"y{n}": x * n for n in range(8)}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    found = SessionBackend(folder, BackendConfig())
    yield found
    found.close()


def _tensors(backend):
    signature = backend.signatures["serving_default"]
    return signature.inputs["x"].name, [signature.outputs[f"y{n}"].name for n in range(8)]


def _asked(backend, numbers):
    x, outputs = _tensors(backend)
    found = backend.run({x: np.float32([2.0])}, [outputs[n] for n in numbers])
    return [float(array[0]) for array in found]


def test_values_come_in_the_order_asked_for_and_one_callable_serves_all_orders(backend):
    backend._callables.clear()
    assert _asked(backend, [3, 1, 2]) == [6.0, 2.0, 4.0]
    assert _asked(backend, [2, 3, 1]) == [4.0, 6.0, 2.0]
    assert len(backend._callables) == 1


def test_callables_are_bounded_and_the_one_in_use_stays(backend):
    backend._callables.clear()
    for numbers in itertools.islice(itertools.combinations(range(8), 3), 56):
        assert _asked(backend, numbers) == [2.0 * n for n in numbers]
        assert _asked(backend, [0]) == [0.0]
    for numbers in itertools.combinations(range(8), 4):
        _asked(backend, numbers)
        _asked(backend, [0])
    assert len(backend._callables) == MAX_CALLABLES
    x, outputs = _tensors(backend)
    assert ((x,), (outputs[0],)) in backend._callables
