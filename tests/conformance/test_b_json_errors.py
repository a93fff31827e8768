"""Group B: bodies that are refused, with TensorFlow Serving's texts."""

import pytest

HISTORY, FUTURE = [1.0] * 24, [0.0] * 4
CASES = [
    ("B1", "default:predict", b"", "JSON Parse error: The document is empty"),
    ("B1 spaces", "default:predict", b"  \n ", "JSON Parse error: The document is empty"),
    ("B2", "default:predict", b"instances = [1, 2]", "JSON Parse error: Invalid value"),
    ("B2 offset", "default:predict", b"instances = [1, 2]", "at offset: 0"),
    ("B2 cut", "default:predict", b'{"instances": [1, 2', "JSON Parse error: "),
    ("B2 comma", "default:predict", b'{"instances": [1] "x": 2}', "Missing a comma or '}' after an object member. at offset: 18"),
    ("B2 bytes", "default:predict", '{"ä": [1 2]}'.encode(), "Missing a comma or ']' after an array element. at offset: 10"),
    ("B2 huge", "default:predict", b'{"instances": [1e400]}', "JSON Parse error: Number too big to be stored in double. at offset: 15"),
    ("B2 half a pair", "identity:predict", b'{"signature_name": "s", "inputs": ["\\ud800"]}', "The surrogate pair in string is invalid. at offset: 36"),
    ("B2 control", "identity:predict", b'{"signature_name": "s", "inputs": ["a\tb"]}', "Invalid escape character in string. at offset: 37"),
    ("B3 no object", "default:predict", b"[1, 2]", "Is not object"),
    ("B4", "default:predict", b"{}", "Missing 'inputs' or 'instances' key"),
    ("B4 NUL", "default:predict", b"\x00{}", "The document is empty. at offset: 0"),
    ("B4 scalar", "default:predict", b"12", "JSON Value: 12 Is not object"),
    ("B4 cut scalar", "default:predict", b"1.", "Miss fraction part in number. at offset: 2"),
    ("B4 null", "default:predict", {"inputs": None}, "JSON Value: null Type: Null is not of expected type: float"),
    ("B5 null", "default:predict", {"signature_name": None, "instances": [1]}, "'signature_name' key must be a string value."),
    ("B5", "default:predict", {"signature_name": 100}, "'signature_name' key must be a string value."),
    ("B6 both keys", "default:predict", {"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances' keys"),
    ("B7", "default:predict", {"instances": {"x": 1}}, "Expecting 'instances' to be an list/array"),
    ("B7 null", "default:predict", {"instances": None}, "Expecting 'instances' to be an list/array"),
    ("B7 both, one null", "default:predict", {"instances": [1], "inputs": None}, "expecting only one of"),
    ("B8", "default:predict", {"instances": []}, "No values in 'instances' array"),
    ("B10", "default:predict", {"instances": [None]}, "JSON Value: null Type: Null is not of expected type: float"),
    ("B10 later", "default:predict", {"instances": [1.0, None]}, "Type: Null is not of expected type: float"),
    ("B10 beside NaN", "default:predict", b'{"instances": [NaN, null]}', "Type: Null is not of expected type: float"),
    ("B11", "default:predict", {"instances": ["NaN"]}, 'JSON Value: "NaN" Type: String is not of expected type: float'),
    ("B11 string beside NaN", "default:predict", b'{"instances": [NaN, "1.5"]}', "Type: String is not of expected type: float"),
    ("B12 bool", "default:predict", {"instances": [True]}, "JSON Value: true Type: True is not of expected type: float"),
    ("B12 object", "default:predict", {"inputs": {"x": [{"a": 1}]}}, "Type: Object is not of expected type: float"),
    ("B13", "default:predict", {"instances": [[1, 2], [3, 4], [5, 6, 7]]}, "Expecting tensor size: 2 but got: 3"),
    ("B13 item", "default:predict", {"instances": [[1, 2], [3, 4], [5, 6, 7]]}, "Failed to process element: 2 of 'instances' list."),
    ("B14", "default:predict", {"instances": [[1, 2], [3, 4], [[5, 6]]]}, "Expecting shape [2] but got: [1,2]"),
    ("B14 deeper", "default:predict", {"instances": [1, [2]]}, "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]"),
    ("B14 named", "default:predict", {"instances": [{"x": [1, 2]}, {"x": [[1, 2]]}]}, "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]"),
    ("B14 empty object", "default:predict", {"instances": [{"x": 1}, {}]}, "Failed to process element: 1 of 'instances' list. JSON object: {} keys must be equal to: x"),
    ("B16", "default:predict", {"instances": [[[1, 2], [3]]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ("B17", "default:predict", {"instances": [[1, [2]]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ("B18 value too high", "default:predict", {"inputs": [[1], 2]}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ("B19", "default:predict", {"signature_name": "nope", "instances": [1]}, 'Serving signature name: "nope" not found in signature def'),
    ("B20", "forecaster:predict", {"instances": [[1, 2]]}, "instances is a plain list, but expecting list of objects as multiple input tensors required"),
    ("B21 missing", "forecaster:predict", {"instances": [{"history": HISTORY}]}, "keys must be equal to: future,history"),
    ("B22", "forecaster:predict", {"instances": [{"history": HISTORY, "future": FUTURE, "foo": 1}]}, "key: foo"),
    ("B22 text", "forecaster:predict", {"instances": [{"history": HISTORY, "future": FUTURE, "foo": 1}]}, "does not have named input: foo"),
    ("B23", "forecaster:predict", {"instances": [{"history": HISTORY, "future": FUTURE}, [1, 2]]}, "Expecting object but got list at item 1 of input list"),
    ("B24", "default:predict", {"instances": [1.0, {"x": 2.0}]}, "Expecting value/list but got object at item 1 of input list"),
    ("B25", "forecaster:predict", {"inputs": [[1]]}, "inputs is a plain value/list, but expecting an object"),
    ("B26", "forecaster:predict", {"inputs": {"history": [HISTORY]}}, "Missing named input: future in 'inputs' object."),
    ("B27 name", "default:predict", {"inputs": {"z": [1.0]}}, "Missing named input: x in 'inputs' object."),
    ("B28", "identity:predict", {"signature_name": "i", "inputs": [1.0]}, "Type: Number is not of expected type: int32"),
    ("B28 too large", "identity:predict", {"signature_name": "i", "inputs": [2147483648]}, "Type: Number is not of expected type: int32"),
    ("B28 bool wanted", "identity:predict", {"signature_name": "b", "inputs": [1]}, "Type: Number is not of expected type: bool"),
    ("B28 string wanted", "identity:predict", {"signature_name": "s", "inputs": [1]}, "Type: Number is not of expected type: string"),
    ("B28 exponent", "identity:predict", b'{"signature_name": "i", "inputs": [1e2]}', "Type: Number is not of expected type: int32"),
    ("B28 int64", "identity:predict", {"signature_name": "l", "inputs": [2**63]}, "Type: Number is not of expected type: int64"),
    ("B28 bool for string", "identity:predict", {"signature_name": "s", "inputs": [True]}, "Type: True is not of expected type: string"),
    ("B29 object later", "identity:predict", {"signature_name": "s", "instances": [{"b64": "YQ=="}, {"s": "a"}]}, "Expecting value/list but got object at item 1 of input list"),
    ("B29 for floats", "default:predict", {"inputs": {"b64": "YQ=="}}, "Type: Object is not of expected type: float"),
    ("B29", "identity:predict", {"signature_name": "s", "instances": [{"b64": "***"}]}, "Unable to base64 decode"),
    ("B29 padding", "identity:predict", {"signature_name": "s", "instances": [{"b64": "YWI=="}]}, "Unable to base64 decode"),
    ("B29 twice", "identity:predict", b'{"signature_name": "s", "inputs": [{"b64": "YQ", "b64": "YQ"}]}', "not formatted correctly for base64 data"),
    ("B30", "identity:predict", {"signature_name": "s", "inputs": {"s": [{"b64": 1}]}}, "not formatted correctly for base64 data"),
    ("B32", "default:regress", {"signature_name": "regress_x_to_y"}, "key 'examples' is expected and was not found"),
    ("B32 classify", "default:classify", {"signature_name": "classify_x_to_y"}, "key 'examples' is expected and was not found"),
    ("B33 no list", "default:regress", {"examples": {}}, "Expecting 'examples' value to be an list/array"),
    ("B33 empty", "default:regress", {"examples": []}, "'examples' value is an empty array"),
    ("B33 no object", "default:regress", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
    ("B34a", "default:regress", {"examples": [{"x": [10, 10.0]}]}, "Unexpected element type in feature: x expecting type: int64"),
    ("B34b", "default:regress", {"examples": [{"x": [10, None]}]}, "Feature: x has element with unexpected JSON type: Null"),
    ("B34c", "default:regress", {"examples": [{"x": [[10], 20]}]}, "Feature: x has element with unexpected JSON type: Array"),
    ("B34d", "default:regress", {"examples": [{"x": [20, 18446744073709551603]}]}, "Only int64_t is supported"),
    ("B34 object", "default:regress", {"examples": [{"x": {"a": 1}}]}, "has element with unexpected JSON type: Object"),
    ("B34 context", "default:regress", {"context": 1, "examples": [{}]}, "Example must be JSON object but got JSON Number"),
    ("B34 other feature", "default:regress", {"examples": [{"x": 1.5, "y": None}]}, "Feature: y has element with unexpected JSON type: Null"),
    ("B35", "default:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2}]}, "Data types don't match. Data type: int64 but expected type: float"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "document", "text"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_refused_bodies(server, path, document, text):
    status, answer = server.post(f"/v1/models/{path}", document)
    assert (status, list(answer)) == (400, ["error"])
    assert text in answer["error"]


def test_b31_very_deep_nesting_does_not_bring_the_server_down(server):
    depth = 500_000
    body = b'{"instances":[1], "nested":' + b"[" * depth + b"]" * depth + b"}"
    status, _ = server.post("/v1/models/default:predict", body)
    assert status in (200, 400)
    assert server.post("/v1/models/default:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})
