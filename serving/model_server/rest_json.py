"""Parse request bodies as TensorFlow Serving's RapidJSON does, NaN tokens and trailing bytes included.

orjson reads almost every body. It knows no NaN, so bare NaN tokens become nulls first, which NumPy reads
as NaN; a body that holds nulls of its own, names that an object has twice, or anything else that orjson refuses,
goes to the slow parser. `rest_syntax` finds the words for what cannot be parsed.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from serving.model_server.rest_syntax import BYTE_ORDER_MARK, INVALID_VALUE, SyntaxFault, first_fault
from serving.model_server.status import RequestError, invalid

DEBUG_BYTES = 256
_MAX_LOOKS = 64
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?(?:NaN|Inf(?:inity)?)', re.DOTALL)
_NAME_END = re.compile(rb'"[ \t\r\n]*:')
_MAYBE_REFUSED = re.compile(rb"\\u[dD][89abAB]|[eE]\+?[0-9]{3}|[0-9]{309}")
"""What Python's parser takes and RapidJSON may not: half a surrogate pair, a number beyond a double."""


class RepeatedNames(dict[str, Any]):
    """An object that has a name more than once. A look-up finds the first, as RapidJSON's does."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        """Keep all pairs beside the first of each name."""
        super().__init__(reversed(pairs))
        self.pairs = pairs


@dataclass(frozen=True)
class JsonBody:
    """A parsed object, and what its text tells about its values."""

    document: dict[str, Any]
    may_hold_bool: bool
    null_is_nan: bool
    broken_utf8: bool = False
    """Whether strings hold bytes that are no UTF-8, which RapidJSON takes as they are."""

    def bytes_of(self, text: str) -> bytes:
        """A string as it came."""
        return text.encode("utf-8", "surrogateescape" if self.broken_utf8 else "surrogatepass")


def parse_object(body: bytes) -> JsonBody:
    """Parse a body that must be an object.

    Raises:
        RequestError: It is none, or no JSON.
    """
    document, null_is_nan, broken_utf8 = _parse(body)
    if not isinstance(document, dict):
        # Of a number at the top, Python's parser takes as much as is one.
        if fault := first_fault(body):
            raise _parse_error(fault)
        raise invalid(f"JSON Value: {debug_text(document)} Is not object")
    may_hold_bool = _holds(body, b"true") or _holds(body, b"false")
    return JsonBody(document, may_hold_bool, null_is_nan, broken_utf8)


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
    if isinstance(value, dict):
        return "Object"
    kinds = {type(None): "Null", str: "String", int: "Number", float: "Number", list: "Array"}
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


def _parse(body: bytes) -> tuple[Any, bool, bool]:
    """The document, whether its nulls stand for NaN, and whether its strings are no UTF-8."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    null_is_nan = False
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
        if b"NaN" in body and b"null" not in body:
            null_is_nan, document = _parse_without_nan(body)
    if document is None or _may_repeat_names(document, body):
        return _parse_slowly(body)
    return document, null_is_nan, False


def _parse_without_nan(body: bytes) -> tuple[bool, Any]:
    try:
        return True, orjson.loads(_nulls_for_nan(body))
    except orjson.JSONDecodeError:
        return False, None


def _may_repeat_names(document: Any, body: bytes) -> bool:
    """Whether an object may have a name twice, of which orjson keeps the last: there are more colons than names."""
    n_colons = body.count(b":")
    if n_colons == 0 or (type(document) is dict and n_colons == len(document)):
        return False
    n_names, left = 0, [document]
    while left:
        value = left.pop()
        if type(value) is dict:
            n_names += len(value)
            left.extend(value.values())
        elif type(value) is list and value and type(value[0]) in (dict, list):
            left.extend(value)
    return n_colons != n_names and len(_NAME_END.findall(body)) != n_names


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


def _parse_slowly(body: bytes) -> tuple[Any, bool, bool]:
    """Read the first value of a body and leave the rest alone."""
    if _MAYBE_REFUSED.search(body) and (fault := first_fault(body)):
        raise _parse_error(fault)
    plain = _TOKENS.sub(_plain_token, body) if b"Inf" in body or b"-NaN" in body else body
    plain = BYTE_ORDER_MARK.sub(b"", plain, count=1).lstrip(b" \t\r\n")
    try:
        text, broken_utf8 = plain.decode("utf-8"), False
    except UnicodeDecodeError:
        text, broken_utf8 = plain.decode("utf-8", "surrogateescape"), True
    try:
        return json.JSONDecoder(object_pairs_hook=_object).raw_decode(text)[0], False, broken_utf8
    except RecursionError as error:
        text = "the nesting is deeper than this server reads"
        raise (_parse_error(fault) if (fault := first_fault(body)) else invalid(f"JSON Parse error: {text}")) from error
    except json.JSONDecodeError as error:
        raise _parse_error(first_fault(body) or SyntaxFault(INVALID_VALUE, len(text[: error.pos].encode()))) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else RepeatedNames(pairs)


def _parse_error(fault: SyntaxFault) -> RequestError:
    return invalid(f"JSON Parse error: {fault.text} at offset: {fault.offset}")
