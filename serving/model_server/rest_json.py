"""Parse request bodies as TensorFlow Serving's RapidJSON does, NaN tokens and trailing bytes included.

orjson reads almost every body. It knows no NaN, so bare NaN tokens become nulls first, which NumPy reads
as NaN; a body that holds nulls of its own, or anything else that orjson refuses, goes to the slow parser.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from serving.model_server.status import RequestError, invalid

DEBUG_BYTES = 256
_MAX_LOOKS = 64
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?(?:NaN|Inf(?:inity)?)', re.DOTALL)
_RAPIDJSON = (
    ("Expecting property name", "Missing a name for object member."),
    ("Illegal trailing comma", "Invalid value."),
    ("Expecting ':'", "Missing a colon after a name of object member."),
    ("Expecting ','", "Missing a comma or ] after an array element."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid control character", "Invalid encoding in string."),
    ("Invalid \\escape", "Invalid escape character in string."),
    ("Invalid \\uXXXX", "Incorrect hex digit after \\u escape in string."),
)


@dataclass(frozen=True)
class JsonBody:
    """A parsed object, and what its text tells about its values."""

    document: dict[str, Any]
    may_hold_bool: bool
    null_is_nan: bool


def parse_object(body: bytes) -> JsonBody:
    """Parse a body that must be an object.

    Raises:
        RequestError: It is none, or no JSON.
    """
    document, null_is_nan = _parse(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {debug_text(document)} Is not object")
    may_hold_bool = _holds(body, b"true") or _holds(body, b"false")
    return JsonBody(document, may_hold_bool, null_is_nan)


def signature_name_of(document: dict[str, Any]) -> str:
    """The optional key `signature_name`; empty where it is absent.

    Raises:
        RequestError: It is no string.
    """
    found = document.get("signature_name", "")
    if not isinstance(found, str) or not is_unicode(found):
        raise invalid(
            f"JSON Value: {debug_text(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return found


def debug_text(value: Any) -> str:
    """A value as it appears in error texts, cut short."""
    try:
        text = json.dumps(value, indent=4 if isinstance(value, dict) else None, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"
    return text[:DEBUG_BYTES]


def kind_of(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if isinstance(value, bool):
        return str(value)
    kinds = {type(None): "Null", str: "String", int: "Number", float: "Number", list: "Array", dict: "Object"}
    return kinds[type(value)]


def _holds(body: bytes, word: bytes) -> bool:
    """Whether a word occurs; quick where its first letter is rare, as it is among numbers."""
    first, place = word[:1], -1
    for _ in range(_MAX_LOOKS):
        place = body.find(first, place + 1)
        if place < 0:
            return False
        if body.startswith(word, place):
            return True
    return word in body


def is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair is left, which only the slow parser lets through."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(body: bytes) -> tuple[Any, bool]:
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError:
        pass
    if b"NaN" in body and b"null" not in body:
        try:
            return orjson.loads(_nulls_for_nan(body)), True
        except orjson.JSONDecodeError:
            pass
    return _parse_slowly(body), False


def _nulls_for_nan(body: bytes) -> bytes:
    """A body with nulls in the place of NaN tokens; strings are left alone."""
    if b"\\" in body:
        return _TOKENS.sub(_null_for_nan, body)
    # Without escapes, every other piece between quotes is a string.
    pieces = body.split(b'"')
    pieces[::2] = [piece.replace(b"-NaN", b"null").replace(b"NaN", b"null") for piece in pieces[::2]]
    return b'"'.join(pieces)


def _null_for_nan(match: re.Match[bytes]) -> bytes:
    token = match.group()
    return b"null" if token in (b"NaN", b"-NaN") else token


def _plain_token(match: re.Match[bytes]) -> bytes:
    token = match.group()
    if token == b"-NaN":
        return b"NaN"
    return token + b"inity" if token in (b"Inf", b"-Inf") else token


def _parse_slowly(body: bytes) -> Any:
    """Read the first value of a body and leave the rest alone."""
    if b"Inf" in body or b"-NaN" in body:
        body = _TOKENS.sub(_plain_token, body)
    try:
        text = body.decode("utf-8").lstrip(" \t\r\n\ufeff")
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid encoding in string. at offset: {error.start}") from error
    offset = len(body) - len(text.encode())
    if not text:
        raise invalid(f"JSON Parse error: The document is empty at offset: {offset}")
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except json.JSONDecodeError as error:
        raise _parse_error(error, offset) from error
    except RecursionError as error:
        raise invalid("JSON Parse error: the nesting is deeper than this server reads") from error
    except ValueError as error:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from error


def _parse_error(error: json.JSONDecodeError, offset: int) -> RequestError:
    text = next((theirs for ours, theirs in _RAPIDJSON if error.msg.startswith(ours)), "Invalid value.")
    return invalid(f"JSON Parse error: {text} at offset: {offset + error.pos}")
