"""Where RapidJSON stops reading a text, and why.

TensorFlow Serving's parse errors are RapidJSON's words with an offset in bytes. A fast parser has found by then
that a text cannot be read; this one reads it again as RapidJSON 1.1's iterative reader does (no check of the
encoding, NaN and Inf as numbers, done after the first value), for nothing but the place and the words.
"""

import math
import re
from dataclasses import dataclass
from enum import Enum, auto

BYTE_ORDER_MARK = re.compile(rb"\xef?\xbb?\xbf?")
"""RapidJSON skips each byte of the mark by itself."""

INVALID_VALUE = "Invalid value."
_TOO_BIG = "Number too big to be stored in double."
_BAD_PAIR = "The surrogate pair in string is invalid."
_BAD_ESCAPE = "Invalid escape character in string."
_BAD_HEX = "Incorrect hex digit after \\u escape in string."
_OPEN_STRING = "Missing a closing quotation mark in string."

_SPACE = re.compile(rb"[ \t\r\n]*")
_NUMBERS = re.compile(rb"(?:-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?[ \t\r\n]*,[ \t\r\n]*)*+")
"""Numbers that cannot be wrong, each with its comma: the bulk of a body at the speed of the expression."""
_PLAIN_TEXT = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_DIGITS = re.compile(rb"[0-9]*")
_SURELY_FINITE_DIGITS, _MAX_EXPONENT, _MAX_SIGNIFICANT = 308, 308, 17


class _State(Enum):
    """What was read last."""

    START = auto()
    OBJECT = auto()
    NAME = auto()
    COLON = auto()
    MEMBER = auto()
    MEMBER_COMMA = auto()
    ARRAY = auto()
    ELEMENT = auto()
    ELEMENT_COMMA = auto()
    DONE = auto()


_COMPLAINTS = {
    _State.START: "The document is empty.",
    _State.OBJECT: "Missing a name for object member.",
    _State.NAME: "Missing a colon after a name of object member.",
    _State.COLON: INVALID_VALUE,
    _State.MEMBER: "Missing a comma or '}' after an object member.",
    _State.MEMBER_COMMA: "Missing a name for object member.",
    _State.ARRAY: INVALID_VALUE,
    _State.ELEMENT: "Missing a comma or ']' after an array element.",
    _State.ELEMENT_COMMA: INVALID_VALUE,
}
"""What is told where something else follows than may."""

_AFTER_VALUE = {
    _State.START: _State.DONE,
    _State.COLON: _State.MEMBER,
    _State.ARRAY: _State.ELEMENT,
    _State.ELEMENT_COMMA: _State.ELEMENT,
}
_PUNCTUATION = {
    (_State.NAME, b":"): _State.COLON,
    (_State.MEMBER, b","): _State.MEMBER_COMMA,
    (_State.ELEMENT, b","): _State.ELEMENT_COMMA,
}
_ENDS = {(_State.OBJECT, b"}"), (_State.MEMBER, b"}"), (_State.ARRAY, b"]"), (_State.ELEMENT, b"]")}
_BEGINS = {b"{": _State.OBJECT, b"[": _State.ARRAY}
_NO_VALUE = (b"]", b"}", b",", b":")


@dataclass(frozen=True)
class SyntaxFault:
    """Why a text is no JSON, in RapidJSON's words, and at which byte."""

    text: str
    offset: int


class _FaultError(ValueError):
    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.fault = SyntaxFault(text, offset)


def first_fault(body: bytes) -> SyntaxFault | None:
    """The first thing RapidJSON would refuse; none where it would read a value (and ignore what follows)."""
    reader = _Reader(body)
    try:
        while reader.state is not _State.DONE:
            reader.step()
    except _FaultError as error:
        return error.fault
    return None


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = _end(BYTE_ORDER_MARK, body, 0)
        self._outer: list[_State] = []
        self.state = _State.START

    def step(self) -> None:
        """Read one token."""
        self._position = _end(_SPACE, self._body, self._position)
        byte = self._body[self._position : self._position + 1]
        if byte in (b"", b"\0"):
            raise self._unexpected()
        if (self.state, byte) in _ENDS:
            self._move(self._outer.pop())
        elif (self.state, byte) in _PUNCTUATION:
            self._move(_PUNCTUATION[self.state, byte])
        elif self.state in (_State.OBJECT, _State.MEMBER_COMMA):
            if byte != b'"':
                raise self._unexpected()
            self.state, self._position = _State.NAME, _string(self._body, self._position)
        else:
            self._value(byte)

    def _value(self, byte: bytes) -> None:
        if self.state not in _AFTER_VALUE or byte in _NO_VALUE:
            raise self._unexpected()
        after = _AFTER_VALUE[self.state]
        if byte in _BEGINS:
            self._outer.append(after)
            self._move(_BEGINS[byte])
            return
        end = _end(_NUMBERS, self._body, self._position) if after is _State.ELEMENT else self._position
        if end > self._position:
            self.state, self._position = _State.ELEMENT_COMMA, end
            return
        self.state, self._position = after, _scalar(self._body, self._position, byte)

    def _move(self, state: _State) -> None:
        self.state, self._position = state, self._position + 1

    def _unexpected(self) -> _FaultError:
        return _FaultError(_COMPLAINTS[self.state], self._position)


def _scalar(body: bytes, position: int, byte: bytes) -> int:
    for word in (b"null", b"true", b"false"):
        if word[:1] == byte:
            return _word(body, position, word)
    return _string(body, position) if byte == b'"' else _number(body, position)


def _word(body: bytes, position: int, word: bytes) -> int:
    for letter in word:
        if body[position : position + 1] != bytes((letter,)):
            raise _FaultError(INVALID_VALUE, position)
        position += 1
    return position


def _string(body: bytes, position: int) -> int:
    position += 1
    while True:
        position = _end(_PLAIN_TEXT, body, position)
        byte = body[position : position + 1]
        if byte == b'"':
            return position + 1
        if byte != b"\\":
            raise _FaultError(_OPEN_STRING if byte in (b"", b"\0") else _BAD_ESCAPE, position)
        position = _escape(body, position)


def _escape(body: bytes, position: int) -> int:
    letter = body[position + 1 : position + 2]
    if letter == b"" or letter not in b'"\\/bfnrtu':
        raise _FaultError(_BAD_ESCAPE, position)
    if letter != b"u":
        return position + 2
    first = _hex(body, position + 2, position)
    if not 0xD800 <= first <= 0xDBFF:
        return position + 6
    if body[position + 6 : position + 8] != b"\\u":
        raise _FaultError(_BAD_PAIR, position)
    if not 0xDC00 <= _hex(body, position + 8, position) <= 0xDFFF:
        raise _FaultError(_BAD_PAIR, position)
    return position + 12


def _hex(body: bytes, position: int, escape: int) -> int:
    match = _HEX.match(body, position)
    if match is None:
        raise _FaultError(_BAD_HEX, escape)
    return int(match.group(), 16)


def _number(body: bytes, start: int) -> int:
    position = start + body.startswith(b"-", start)
    end = position + 1 if body.startswith(b"0", position) else _end(_DIGITS, body, position)
    whole, fraction = body[position:end], b""
    if not whole:
        end = _named_number(body, position)
    elif len(whole) > _SURELY_FINITE_DIGITS and float(whole) == math.inf:
        raise _FaultError(_TOO_BIG, start)
    if body.startswith(b".", end):
        fraction, end = _required_digits(body, end + 1, "Miss fraction part in number.")
    if body[end : end + 1] not in (b"e", b"E"):
        return end
    end += 1
    sign = body[end : end + 1]
    exponent, end = _required_digits(body, end + (sign in (b"+", b"-")), "Miss exponent in number.")
    # Compared while it is read, and not at all for a single digit: 2e308 is infinite and no error.
    too_big = len(exponent) > 1 and int(exponent[:20]) > _MAX_EXPONENT + _n_counted(whole, fraction)
    if sign != b"-" and too_big:
        raise _FaultError(_TOO_BIG, start)
    return end


def _named_number(body: bytes, position: int) -> int:
    if body.startswith(b"N", position):
        return _word(body, position, b"NaN")
    if not body.startswith(b"I", position):
        raise _FaultError(INVALID_VALUE, position)
    end = _word(body, position, b"Inf")
    return _word(body, end, b"inity") if body.startswith(b"i", end) else end


def _required_digits(body: bytes, position: int, text: str) -> tuple[bytes, int]:
    end = _end(_DIGITS, body, position)
    if end == position:
        raise _FaultError(text, position)
    return body[position:end], end


def _n_counted(whole: bytes, fraction: bytes) -> int:
    """How many digits of a fraction RapidJSON keeps; each lets the exponent be one larger."""
    significant = len(whole.lstrip(b"0"))
    n_zeros = 0 if significant else len(fraction) - len(fraction.lstrip(b"0"))
    return n_zeros + min(len(fraction) - n_zeros, max(0, _MAX_SIGNIFICANT - significant))


def _end(pattern: re.Pattern[bytes], body: bytes, position: int) -> int:
    match = pattern.match(body, position)
    return position if match is None else match.end()
