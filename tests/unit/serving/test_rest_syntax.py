"""What RapidJSON 1.1 says of a text that it cannot read, at which byte. The figures are its own: it was asked."""

import numpy as np
import pytest

from forecasting.wire.messages import ClassificationRequest, DataType
from serving.model_server.rest_examples import fill_examples
from serving.model_server.rest_json import parse_object
from serving.model_server.rest_quick import quick_body
from serving.model_server.rest_syntax import SyntaxFault, first_fault
from serving.model_server.rest_values import decode_base64, values_of
from serving.model_server.signatures import InputSpec
from serving.model_server.status import RequestError

REFUSED = [
    (b"  ", "The document is empty.", 2),
    (b"]", "The document is empty.", 0),
    (b"instances = [1]", "Invalid value.", 0),
    (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
    (b'{"a":}', "Invalid value.", 5),
    (b'{"a":1 "b":2}', "Missing a comma or '}' after an object member.", 7),
    (b'{"a":1,}', "Missing a name for object member.", 7),
    (b"{1:2}", "Missing a name for object member.", 1),
    (b'{"a":[1,2', "Missing a comma or ']' after an array element.", 9),
    (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
    (b"[1,2.5,-3, 4 5]", "Missing a comma or ']' after an array element.", 13),
    (b"[01]", "Missing a comma or ']' after an array element.", 2),
    (b"[1,]", "Invalid value.", 3),
    (b"[nulx]", "Invalid value.", 4),
    (b"[Infi]", "Invalid value.", 5),
    (b"[-]", "Invalid value.", 2),
    (b"[1.]", "Miss fraction part in number.", 3),
    (b"[1e+]", "Miss exponent in number.", 4),
    (b'{"a":1e400}', "Number too big to be stored in double.", 5),
    (b'{"a": -1e309}', "Number too big to be stored in double.", 6),
    (b"[" + b"9" * 310 + b"]", "Number too big to be stored in double.", 1),
    (b'["ab', "Missing a closing quotation mark in string.", 4),
    (b'["a\nb"]', "Invalid escape character in string.", 3),
    (b'["a\\x"]', "Invalid escape character in string.", 3),
    (b'["a\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 3),
    (b'["ab\\ud800"]', "The surrogate pair in string is invalid.", 4),
    (b'["\\ud800\\u0041"]', "The surrogate pair in string is invalid.", 2),
    ('{"ä":x}'.encode(), "Invalid value.", 6),
    (b"\xef\xbb\xbf[1,}", "Invalid value.", 6),
    (b"[[" * 5000 + b"}", "Invalid value.", 10000),
]


@pytest.mark.parametrize(("body", "text", "offset"), REFUSED, ids=[str(case[0][:20]) for case in REFUSED])
def test_a_text_is_refused_in_rapidjsons_words_at_its_byte(body, text, offset):
    assert first_fault(body) == SyntaxFault(text, offset)
    with pytest.raises(RequestError) as caught:
        parse_object(body)
    assert caught.value.message == f"JSON Parse error: {text} at offset: {offset}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[1,2.5,-3e10,NaN,-NaN,Inf,-Infinity],"b":{"c":null,"d":[true,false,[]]},"e":"\\ud83d\\ude00\\n"} and more',
        b'\xef\xbb\xbf {"a": 1}',
        b'{"a":2e308,"b":0.0001e310,"c":1e-400}',
        b'{"a":"\\udc00"}',
        b'{"a":"\xff"}',
    ],
)
def test_a_text_that_rapidjson_reads_is_read(body):
    assert first_fault(body) is None
    assert "a" in parse_object(body).document


STRINGS = {"s": InputSpec("s:0", int(DataType.DT_STRING), None)}
FLOATS = {"x": InputSpec("x:0", int(DataType.DT_FLOAT), None)}


def _values(body, inputs):
    return next(iter(values_of(parse_object(body), inputs, "")[0].values())).tolist()


def test_strings_reach_the_model_as_the_bytes_they_came_as():
    assert _values(b'{"instances": ["\xff\xc3\xa4", "b"]}', STRINGS) == [b"\xff\xc3\xa4", b"b"]
    assert _values(b'{"instances": ["\\udc00"]}', STRINGS) == [b"\xed\xb0\x80"]


def test_of_a_name_that_comes_twice_the_first_counts():
    assert _values(b'{"inputs": [1.0], "inputs": [2.0, 3.0]}', FLOATS) == [1.0]
    assert _values(b'{"inputs": {"x": [1.0], "x": [2.0]}}', FLOATS) == [1.0]
    assert _values(b'{"instances": [{"x": 1.0, "x": 2.0}]}', FLOATS) == [1.0]
    assert _values(b'{"inputs": [NaN], "inputs": [1.0]}', FLOATS)[0] != 1.0
    assert _values(b'{"inputs": ["a:b", "c\\":"], "more": {"a": 1}}', STRINGS) == [b"a:b", b'c":']


def test_of_a_feature_that_comes_twice_the_last_counts():
    request = ClassificationRequest()
    fill_examples(parse_object(b'{"examples": [{"x": 1.5, "x": [2.5, 3.5]}]}'), request)
    assert list(request.input.example_list.examples[0].features.feature["x"].float_list.value) == [2.5, 3.5]


def test_base64_with_its_name_twice_is_none():
    with pytest.raises(RequestError, match="not formatted correctly for base64 data"):
        _values(b'{"inputs": [{"b64": "YQ==", "b64": "YQ=="}]}', STRINGS)


def test_a_long_body_with_a_sign_too_many_is_refused():
    body = b'{"inputs": [--NaN, ' + b"1.5, " * 300 + b"1.5]}"
    assert quick_body(body) is None
    with pytest.raises(RequestError, match="at offset: 13"):
        parse_object(body)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("YWI=", b"ab"),
        ("YWI", b"ab"),
        (" Y W\tI\n= ", b"ab"),
        ("YWI.", b"ab"),
        ("YQ", b"a"),
        ("YQ= =", b"a"),
        ("YR==", b"a"),
        ("", b""),
        ("  ", b""),
    ],
)
def test_base64_may_have_blanks_and_no_padding(text, found):
    assert decode_base64({"b64": text}) == found


@pytest.mark.parametrize("text", ["YWI==", "YQ=", "YWJj=", "Y", "YWI=YQ==", "-_-_", "=", "ä", "YW\u00a0I="])
def test_base64_with_wrong_padding_or_letters_is_refused(text):
    with pytest.raises(RequestError, match="Unable to base64 decode"):
        decode_base64({"b64": text})


def test_numbers_that_are_too_large_for_a_float32_become_infinite():
    with np.errstate(over="ignore"):
        assert _values(b'{"instances": [2e308, 1e39, -1e39]}', FLOATS) == [np.inf, np.inf, -np.inf]
