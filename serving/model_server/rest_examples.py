"""Bodies of classify and regress: JSON objects to `tensorflow.Example` messages (util/json_tensor.cc)."""

from typing import Any

from serving.model_server.rest_json import JsonBody, RepeatedNames, debug_text, is_unicode, kind_of, signature_name_of
from serving.model_server.rest_values import as_double, decode_base64, is_base64
from serving.model_server.status import RequestError, invalid

CONTEXT, EXAMPLES = "context", "examples"
_INT64_END, _UINT64_END = 2**63, 2**64
_NAMES = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def fill_examples(body: JsonBody, request: Any) -> None:
    """Fill a ClassificationRequest or RegressionRequest.

    Raises:
        RequestError: A key is missing or a value is none that a feature can hold.
    """
    document = body.document
    request.model_spec.signature_name = signature_name_of(document)
    target = request.input.example_list
    if CONTEXT in document:
        target = request.input.example_list_with_context
        _fill_example(document[CONTEXT], target.context, body)
    if EXAMPLES not in document:
        raise _format_error(document, f"When method is classify, key '{EXAMPLES}' is expected and was not found")
    found = document[EXAMPLES]
    if not isinstance(found, list):
        raise _format_error(document, f"Expecting '{EXAMPLES}' value to be an list/array")
    if not found:
        raise _format_error(document, f"'{EXAMPLES}' value is an empty array")
    for value in found:
        _fill_example(value, target.examples.add(), body)


def _fill_example(value: Any, example: Any, body: JsonBody) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {kind_of(value)}")
    example.features.SetInParent()
    for name, content in value.pairs if isinstance(value, RepeatedNames) else value.items():
        if not is_unicode(name):
            raise invalid(f"Feature: {debug_text(name)} has half of a surrogate pair in its name")
        feature = example.features.feature[name]
        # Of a feature that comes twice, the last one counts.
        feature.Clear()
        for item in content if isinstance(content, list) else [content]:
            _add(float("nan") if item is None and body.null_is_nan else item, name, feature, body)


def _add(value: Any, name: str, feature: Any, body: JsonBody) -> None:
    if isinstance(value, bool):
        _list_of(feature, "int64_list", name).append(int(value))
    elif isinstance(value, str):
        _list_of(feature, "bytes_list", name).append(body.bytes_of(value))
    elif isinstance(value, float) or (isinstance(value, int) and not -_INT64_END <= value < _UINT64_END):
        _list_of(feature, "float_list", name).append(as_double(value))
    elif isinstance(value, int):
        target = _list_of(feature, "int64_list", name)
        if value >= _INT64_END:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        target.append(value)
    elif is_base64(value):
        _list_of(feature, "bytes_list", name).append(decode_base64(value))
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind_of(value)}")


def _list_of(feature: Any, kind: str, name: str) -> Any:
    """The list of a kind, which must be the only one of a feature."""
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_NAMES[found]}")
    return getattr(feature, kind).value


def _format_error(document: Any, text: str) -> RequestError:
    return invalid(f"JSON Value: {debug_text(document)} {text}")
