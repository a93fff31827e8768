"""The quick reader of bodies against the careful one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecasting.wire.messages import DataType
from serving.model_server.rest_json import parse_object
from serving.model_server.rest_quick import MIN_BYTES, quick_body
from serving.model_server.rest_values import values_of
from serving.model_server.signatures import InputSpec

FLOAT = int(DataType.DT_FLOAT)
PAIR = {"future": InputSpec("f", FLOAT, None), "history": InputSpec("h", FLOAT, None)}
ONE = {"x": InputSpec("x", FLOAT, None)}
LONG = [1.5] * MIN_BYTES


def _padded(document) -> bytes:
    """Long enough for the quick reader; white space counts for nothing."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return text + b" " * MIN_BYTES


def _careful(body, inputs):
    return values_of(parse_object(body), inputs, "")


@settings(max_examples=60, deadline=None)
@given(
    history=hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)),
    future=hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=4), elements=st.floats(width=32)),
)
def test_columns_are_read_as_the_careful_reader_reads_them(history, future):
    history = np.where(np.isinf(history), 0.0, history)
    future = np.where(np.isinf(future), 0.0, future)
    body = _padded({"inputs": {"history": history.tolist(), "future": future.tolist()}})
    found = quick_body(body)
    wanted, _ = _careful(body, PAIR)
    arrays = found.arrays(PAIR)
    for name in PAIR:
        np.testing.assert_array_equal(arrays[name], wanted[name])
        assert arrays[name].dtype == np.float32
    assert not found.as_rows


@pytest.mark.parametrize(
    ("document", "inputs"),
    [
        ({"signature_name": "s", "instances": [[1, 2.5], [3, 4]]}, ONE),
        ({"instances": [{"history": [1.0], "future": [2]}, {"future": [3], "history": [4]}]}, PAIR),
        ({"inputs": [[1e5, -2e-3]], "signature_name": "0e1"}, ONE),
        (b'{ "instances" : [ NaN , -NaN, 1 ] }', ONE),
        ({"inputs": {"x": [[0, 1], [1, 0]]}}, ONE),
    ],
)
def test_simple_bodies_are_read_quickly_and_alike(document, inputs):
    body = _padded(document)
    found = quick_body(body)
    wanted, as_rows = _careful(body, inputs)
    arrays = found.arrays(inputs)
    for name in inputs:
        np.testing.assert_array_equal(arrays[name], wanted[name])
        assert arrays[name].shape == wanted[name].shape
    assert found.as_rows == as_rows


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [[1, 2], [3]]},
        {"inputs": [[1, 2, 3], [4], [5, 6]]},
        {"inputs": [1, [2]]},
        {"inputs": [[1], 2]},
        {"inputs": [True, 1]},
        {"inputs": [None]},
        {"inputs": ["1"]},
        {"inputs": [{"b64": "aaaa"}]},
        {"inputs": [], "instances": []},
        {"inputs": [1], "instances": [1]},
        {"inputs": [1], "other": 1},
        {"instances": {"x": 1}},
        {"instances": [{"x": [1, 2]}, {"x": [1]}]},
        {"instances": [{"x": 1}, {"y": 1}]},
        {"instances": [{"x": 1}, 2]},
        {"signature_name": 1, "inputs": [1]},
        [1, 2],
        b'{"inputs": [1]} x',
        b'{"inputs": [Infinity]}',
        b'{"inputs": [1, 1.2345678901234567e308, NaN]}',
        b'{"inputs": [NaN], "a\\"NaN": 1}',
        b'{"inputs": [18446744073709551616]}',
        b"no json",
    ],
)
def test_anything_else_is_left_to_the_careful_reader(document):
    assert quick_body(_padded(document)) is None


def test_other_types_and_names_are_left_to_the_careful_reader():
    found = quick_body(_padded({"inputs": {"x": [1.0]}}))
    assert found.arrays({"x": InputSpec("x", int(DataType.DT_INT32), None)}) is None
    assert found.arrays({"y": InputSpec("y", FLOAT, None)}) is None
    assert quick_body(_padded({"inputs": [1.0]})).arrays(PAIR) is None
    assert quick_body(_padded({"instances": [{"x": [1], "z": [2]}]})).arrays(ONE) is None


def test_a_body_is_read_quickly_after_any_other():
    for document in ({"inputs": [1, [2]]}, {"inputs": LONG}, b"{", {"inputs": LONG}):
        quick_body(_padded(document))
    np.testing.assert_array_equal(quick_body(_padded({"inputs": LONG})).plain, LONG)
