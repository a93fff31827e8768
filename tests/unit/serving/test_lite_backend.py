"""A Lite model with one interpreter: whatever a call does to it, the next one is answered."""

import numpy as np
import pytest

from serving.model_server.backends.lite import LiteBackend
from serving.model_server.status import RequestError, StatusCode
from tests.unit.serving import tiny_models


@pytest.fixture
def backend(models):
    found = LiteBackend(models / "lite" / "2.tflite", n_interpreters=1)
    yield found
    found.close()


def _asked(backend):
    signature = backend.signatures["serving_default"]
    window = tiny_models.window().as_dict()
    feeds = {info.name: window[alias] for alias, info in signature.inputs.items()}
    return feeds, [info.name for info in signature.outputs.values()]


def test_a_size_beyond_32_bits_is_refused_and_the_only_interpreter_goes_on(backend):
    feeds, fetches = _asked(backend)
    name = next(iter(feeds))
    with pytest.raises(RequestError, match="sizes must not exceed 2147483647") as caught:
        backend.run({**feeds, name: np.zeros((0, 2**40), np.float32)}, fetches)
    assert caught.value.code == StatusCode.INVALID_ARGUMENT
    assert backend.run(feeds, fetches)[0].shape == (1, 3, 3)


def test_a_call_that_ends_in_any_exception_gives_its_place_back(backend):
    feeds, fetches = _asked(backend)
    with pytest.raises(KeyError):
        backend.run(feeds, ["no such tensor"])
    assert backend.run(feeds, fetches)[0].shape == (1, 3, 3)
