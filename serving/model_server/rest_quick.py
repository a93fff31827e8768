"""The common large body read without making a Python object of each number.

simdjson parses it and hands its numbers over as one buffer an input. What that loses, the nesting, is checked
against the body's skeleton: the body without its digits, which for a dense array of some shape is always the
same text. Whatever is not of that kind (strings, truth values, nulls, unknown keys, ragged lists) is left to the
careful reader, `rest_json` and `rest_values`, which also finds the words for what is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import simdjson

from forecasting.wire.messages import DataType
from serving.model_server.backends import Arrays
from serving.model_server.signatures import InputSpec

MIN_BYTES = 1000
"""Smaller bodies cost less the careful way."""

_NUMBER_BYTES = b"0123456789.-+eE \t\r\n"
_NAN_BYTES, _NAN_VALUE = b"1.2345678901234567e308", 1.2345678901234567e308
"""Stands for NaN, which simdjson does not read; a body that holds this very number is read carefully."""

_FLOATS: dict[int, npt.DTypeLike] = {int(DataType.DT_FLOAT): np.float32, int(DataType.DT_DOUBLE): np.float64}
_MAX_ROWS = 64

Columns = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class QuickBody:
    """Numbers of a body: by input, or unnamed where the body gives a plain list."""

    signature_name: str
    named: Columns | None
    plain: npt.NDArray[np.float64] | None
    as_rows: bool

    def with_nan(self) -> "QuickBody":
        """The same with NaN where its stand-in is."""

        def put(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.where(array == _NAN_VALUE, np.nan, array)

        named = None if self.named is None else {name: put(array) for name, array in self.named.items()}
        return replace(self, named=named, plain=None if self.plain is None else put(self.plain))

    def arrays(self, inputs: Mapping[str, InputSpec]) -> Arrays | None:
        """The inputs of a signature, or none where the body does not simply hold its floats."""
        found: Arrays = {}
        # What is too large for a float32 becomes infinite, as it does in TensorFlow Serving.
        with np.errstate(over="ignore"):
            for alias, spec in inputs.items():
                source = self.plain if self.named is None else self.named.get(alias)
                if source is None or spec.dtype not in _FLOATS:
                    return None
                found[alias] = source.astype(_FLOATS[spec.dtype])
        if self.named is None:
            return found if len(inputs) == 1 else None
        return found if not self.as_rows or len(self.named) == len(inputs) else None


def quick_body(body: bytes) -> QuickBody | None:
    """Read a body, or none where it is not of the simple kind."""
    if len(body) < MIN_BYTES:
        return None
    # One letter is found ten times faster than three, and there is hardly any among numbers.
    holds_nan = b"N" in body and b"NaN" in body
    if holds_nan:
        if b"\\" in body or b"--" in body or _NAN_BYTES in body:
            return None
        pieces = body.split(b'"')
        pieces[::2] = [piece.replace(b"-NaN", _NAN_BYTES).replace(b"NaN", _NAN_BYTES) for piece in pieces[::2]]
        body = b'"'.join(pieces)
    try:
        found = _read(body)
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError):
        return None
    if found is not None and holds_nan:
        return found.with_nan()
    return found


def _read(body: bytes) -> QuickBody | None:
    # A new one each time costs a microsecond; a kept one refuses while anything of its last document lives.
    document: Any = simdjson.Parser().parse(body)
    skeleton, name = list[bytes](), ""
    named: dict[str, npt.NDArray[np.float64]] | None = None
    plain: npt.NDArray[np.float64] | None = None
    as_rows, n_values = False, 0
    for key in document:
        value: Any = document[key]
        if key == "signature_name" and isinstance(value, str):
            name = value
            text = _quoted(value)
        elif key in ("inputs", "instances"):
            as_rows, n_values = key == "instances", n_values + 1
            if isinstance(value, simdjson.Object) and not as_rows:
                named, text = _columns(value)
            elif as_rows and isinstance(value[0], simdjson.Object):
                named, text = _rows(value)
            else:
                plain, text = _numbers(value)
        else:
            return None
        skeleton.append(_quoted(key) + b":" + text)
    if n_values != 1 or body.translate(None, _NUMBER_BYTES) != b"{" + b",".join(skeleton) + b"}":
        return None
    return QuickBody(name, named, plain, as_rows)


def _columns(value: Any) -> tuple[dict[str, npt.NDArray[np.float64]], bytes]:
    arrays, texts = dict[str, npt.NDArray[np.float64]](), list[bytes]()
    for key in value:
        arrays[key], text = _numbers(value[key])
        texts.append(_quoted(key) + b":" + text)
    return arrays, b"{" + b",".join(texts) + b"}"


def _rows(value: Any) -> tuple[dict[str, npt.NDArray[np.float64]], bytes]:
    if len(value) > _MAX_ROWS:
        raise ValueError("many rows are read faster as lists")
    read = [_columns(row) for row in value]
    names = read[0][0].keys()
    if any(columns.keys() != names for columns, _ in read):
        raise ValueError("rows must have the same keys")
    # Rows of different shapes are noticed here: they cannot be stacked.
    stacked = {name: np.stack([columns[name] for columns, _ in read]) for name in names}
    return stacked, b"[" + b",".join(text for _, text in read) + b"]"


def _numbers(value: Any) -> tuple[npt.NDArray[np.float64], bytes]:
    """A nested list of numbers and the skeleton it has if it is dense."""
    if not isinstance(value, simdjson.Array):
        raise TypeError("a single value is read carefully")
    shape = list[int]()
    inner: Any = value
    while isinstance(inner, simdjson.Array):
        shape.append(len(inner))
        inner = inner[0]
    flat = np.frombuffer(value.as_buffer(of_type="d"), dtype=np.float64)
    return flat.reshape(shape), _skeleton(tuple(shape))


@lru_cache(maxsize=64)
def _skeleton(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of a dense list."""
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text


def _quoted(text: str) -> bytes:
    return b'"' + text.encode().translate(None, _NUMBER_BYTES) + b'"'
