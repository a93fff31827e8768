"""Group C: values that are accepted, and how answers are printed."""

import json
import math

import numpy as np
import pytest


def predict(server, model, document):
    return server.post(f"/v1/models/{model}:predict", document)


def test_c1_integers_and_floats_mix(server):
    status, answer = predict(server, "identity", {"signature_name": "x", "instances": [1, 2.0, 3, 5.003, 0.007, 0.0]})
    assert status == 200
    assert np.float32(answer["predictions"]).tolist() == np.float32([1, 2, 3, 5.003, 0.007, 0]).tolist()


@pytest.mark.parametrize(
    "body", [b'{"instances": [NaN, Infinity, -Infinity]}', b'{"inputs": [NaN, Infinity, -Infinity]}']
)
def test_c2_bare_nan_and_infinity_go_in_and_come_out(server, body):
    status, _, text = server.ask("POST", "/v1/models/default:predict", body)
    assert status == 200
    (values,) = json.loads(text).values()
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]
    assert b"NaN" in text
    assert b'"NaN"' not in text


def test_c3_nan_alone_goes_through_too(server):
    _, answer = predict(server, "default", b'{"instances": [[NaN, 1.0], [2.0, NaN]]}')
    (first, second) = answer["predictions"]
    assert math.isnan(first[0])
    assert first[1] == 2.5
    assert second[0] == 3.0
    assert math.isnan(second[1])


def test_c4_a_large_integer_becomes_the_nearest_float(server):
    _, answer = predict(server, "identity", {"signature_name": "x", "instances": [1435774380]})
    assert np.float32(answer["predictions"]).tolist() == [1435774336.0]


def test_c5_floats_print_shortest_and_whole_ones_as_floats(server):
    values = [9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5, 0.1]
    _, _, text = server.ask(
        "POST", "/v1/models/identity:predict", json.dumps({"signature_name": "x", "instances": values}).encode()
    )
    found = json.loads(text)["predictions"]
    assert [np.float32(value) for value in found] == [np.float32(value) for value in values]
    assert all(isinstance(value, float) for value in found)
    assert found[-1] == 0.1


def test_c5_a_nan_beside_them_changes_no_digit(server):
    _, _, text = server.ask("POST", "/v1/models/identity:predict", b'{"signature_name": "x", "instances": [0.1, NaN]}')
    assert json.loads(text)["predictions"][0] == 0.1


def test_c7_bytes_after_the_object_are_ignored(server):
    assert predict(server, "default", b'{"instances":[1]}X') == (200, {"predictions": [2.5]})


def test_c8_unknown_keys_are_ignored(server):
    document = {"instances": [1], "other": {"deep": [1, None, "x"]}}
    assert predict(server, "default", document) == (200, {"predictions": [2.5]})


def test_c8_truth_values_under_unknown_keys_are_ignored_too(server):
    assert predict(server, "default", {"instances": [1], "debug": True}) == (200, {"predictions": [2.5]})


def test_c10_outputs_named_bytes_are_base64_and_other_strings_plain(server):
    document = {"instances": [{"i": 1, "s": "hey", "d": 1.5, "b": True}]}
    row = {"i": 1, "s": "hey", "d": 1.5, "b": True, "blob_bytes": {"b64": "aGV5"}}
    assert predict(server, "identity", document) == (200, {"predictions": [row]})


def test_c10_base64_goes_in(server):
    document = {"signature_name": "blob", "instances": [{"b64": "/wA="}, {"b64": "aGV5"}]}
    assert predict(server, "identity", document) == (200, {"predictions": [{"b64": "/wA="}, {"b64": "aGV5"}]})
    document = {"signature_name": "blob", "inputs": {"s": [{"b64": "/wA="}]}}
    assert predict(server, "identity", document) == (200, {"outputs": [{"b64": "/wA="}]})


def test_c11_one_output_comes_bare_and_several_as_objects(server):
    row = {"history": [1.0] * 24, "future": [0.5] * 4}
    status, answer = predict(server, "forecaster", {"instances": [row, row]})
    assert status == 200
    assert answer == {"predictions": [{"p10": [2.0] * 8, "p50": [3.0] * 8, "p90": [4.0] * 8}] * 2}
    status, answer = predict(server, "forecaster", {"inputs": {name: [value] for name, value in row.items()}})
    assert answer == {"outputs": {"p10": [[2.0] * 8], "p50": [[3.0] * 8], "p90": [[4.0] * 8]}}


def test_c12_columns_may_have_keys_that_nobody_asked_for(server):
    assert predict(server, "default", {"inputs": {"x": [2.0], "more": 1}}) == (200, {"outputs": [3.0]})


def test_c13_rows_need_one_batch_size_and_columns_do_not(server):
    status, answer = predict(server, "odd", {"signature_name": "uneven", "instances": [1.0, 2.0]})
    assert status == 400
    assert "has inconsistent batch size: 1 expecting: 2" in answer["error"]
    found = predict(server, "odd", {"signature_name": "uneven", "inputs": [1.0, 2.0]})
    assert found == (200, {"outputs": {"a": [1.0, 2.0], "b": [2.0]}})


def test_c14_rows_have_no_form_for_a_scalar_and_columns_have(server):
    status, answer = predict(server, "odd", {"instances": [1.0, 2.0]})
    assert status == 400
    assert "has no shape information" in answer["error"]
    assert predict(server, "odd", {"inputs": [1.0, 2.0]}) == (200, {"outputs": 3.0})


@pytest.mark.parametrize(
    ("signature", "name"), [("complex64", "complex64"), ("bfloat16", "bfloat16"), ("float16", "half")]
)
def test_c16_types_without_a_json_form_are_refused(server, signature, name):
    status, answer = predict(server, "odd", {"signature_name": signature, "inputs": [1.0]})
    assert status == 400
    assert f"Failed to write JSON value for tensor type: {name}" in answer["error"]


def test_c17_a_single_named_input_is_the_same_as_a_plain_list(server):
    assert predict(server, "default", {"instances": [{"x": [1.0]}, {"x": [3.0]}]}) == (
        200,
        {"predictions": [[2.5], [3.5]]},
    )


@pytest.mark.parametrize(
    ("signature", "values"),
    [
        pytest.param("i", [1, -2, 2147483647], id="C18 int32"),
        pytest.param("l", [9007199254740993, -9223372036854775808], id="C18 int64"),
        pytest.param("u", [0, 255], id="C18 uint8"),
        pytest.param("b", [True, False], id="C18 bool"),
        pytest.param("d", [1.5, 0.1, 1e300], id="C18 double"),
        pytest.param("s", ["", "ä€", 'quote"d'], id="C18 string"),
    ],
)
def test_types_survive(server, signature, values):
    assert predict(server, "identity", {"signature_name": signature, "instances": values}) == (
        200,
        {"predictions": values},
    )
    assert predict(server, "identity", {"signature_name": signature, "inputs": values}) == (200, {"outputs": values})


def test_c19_a_plain_number_is_a_scalar(server):
    assert predict(server, "default", {"inputs": 2.0}) == (200, {"outputs": 3.0})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"instances": [1], "instances": [5, 6]}', id="C20 rows twice"),
        pytest.param(
            b'{"instances": [{"x": 1}], "signature_name": "serving_default", "signature_name": "x"}', id="C20 name"
        ),
        pytest.param(b'\xef\xbb\xbf \n{"instances": [1]}', id="C21 byte order mark"),
    ],
)
def test_of_names_that_come_twice_the_first_counts(server, body):
    assert predict(server, "default", body) == (200, {"predictions": [2.5]})


def test_c22_base64_may_have_blanks_and_lack_its_padding(server):
    document = {"signature_name": "blob", "instances": [{"b64": " aGV 5\n"}, {"b64": "/wA"}]}
    assert predict(server, "identity", document) == (200, {"predictions": [{"b64": "aGV5"}, {"b64": "/wA="}]})


def test_c23_bytes_that_are_no_utf8_pass_as_they_are(server):
    body = b'{"signature_name": "blob", "inputs": ["\xff\x80"]}'
    assert predict(server, "identity", body) == (200, {"outputs": [{"b64": "/4A="}]})


@pytest.mark.parametrize(
    ("model", "document", "answer"),
    [
        pytest.param("default", {"inputs": []}, {"outputs": []}, id="C24 nothing"),
        pytest.param("default", {"instances": [[]]}, {"predictions": [[]]}, id="C24 a row of nothing"),
        pytest.param("default", {"instances": [[[]], [[]]]}, {"predictions": [[[]], [[]]]}, id="C24 deeper"),
        pytest.param("default", {"signature_name": "", "instances": [1]}, {"predictions": [2.5]}, id="C25 empty signature"),
        pytest.param("identity", {"signature_name": "u", "inputs": [256, -1]}, {"outputs": [0, 255]}, id="C26 uint8 wraps"),
        pytest.param("identity", {"signature_name": "s", "inputs": "a"}, {"outputs": "a"}, id="C27 a scalar string"),
        pytest.param("identity", {"signature_name": "s", "inputs": {"b64": "YQ=="}}, {"outputs": "a"}, id="C27 in base64"),
        pytest.param("identity", {"signature_name": "s", "instances": [{"b64": "YQ=="}, "b"]}, {"predictions": ["a", "b"]}, id="C27 mixed"),
        pytest.param("identity", {"signature_name": "s", "inputs": ["\0\x1f/\"\\"]}, {"outputs": ["\0\x1f/\"\\"]}, id="C27 escapes"),
    ],
)  # fmt: skip
def test_other_values(server, model, document, answer):
    assert predict(server, model, document) == (200, answer)


def test_c28_a_double_beyond_float32_is_infinite(server):
    _, _, text = server.ask("POST", "/v1/models/default:predict", b'{"instances": [1e39, -2e308, 3.4028236e38]}')
    assert json.loads(text) == {"predictions": [math.inf, -math.inf, math.inf]}
