"""How large the buffers of an Arrow IPC stream are once decompressed, read from its messages before any of them is."""

import struct

import pyarrow as pa

_HEADER, _DICTIONARY_ROWS = 2, 1
"""Fields of `Message` and of `DictionaryBatch`."""
_BUFFERS, _COMPRESSION = 2, 3
"""Fields of `RecordBatch`."""


def decoded_bytes(body: bytes) -> int:
    """Bytes of all buffers of the messages in a stream, compressed ones at the length that each of them declares.

    A buffer that does not decompress to the length it declares is an error of Arrow later, so that this is a bound. See
    https://arrow.apache.org/docs/format/Columnar.html#compression and `Message.fbs` beside it.

    Raises:
        pyarrow.ArrowInvalid: It is no such stream.
    """
    total = 0
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            if message.type in ("record batch", "dictionary batch"):
                total += _message_bytes(message)
    except struct.error as error:
        raise pa.ArrowInvalid(f"a message cannot be read: {error}") from error
    return total


def _message_bytes(message: pa.ipc.Message) -> int:
    found = message.metadata.to_pybytes()
    table = _table_at(found, _field(found, _follow(found, 0), _HEADER))
    if message.type == "dictionary batch":
        table = _table_at(found, _field(found, table, _DICTIONARY_ROWS))
    place = _field(found, table, _BUFFERS)
    if place is None:
        return 0
    vector = _follow(found, place)
    (n_buffers,) = struct.unpack_from("<I", found, vector)
    spans = struct.unpack_from(f"<{2 * n_buffers}q", found, vector + 4)
    pairs = list(zip(spans[::2], spans[1::2], strict=True))
    if _field(found, table, _COMPRESSION) is None:
        return sum(length for _, length in pairs)
    return sum(_buffer_bytes(memoryview(message.body), start, length) for start, length in pairs)


def _buffer_bytes(body: memoryview, start: int, length: int) -> int:
    if length == 0:
        return 0
    if start < 0:
        raise pa.ArrowInvalid(f"a buffer must begin inside its message, found {start}")
    (declared,) = struct.unpack_from("<q", body, start)
    # -1 says that it is not compressed.
    return length if declared < 0 else int(declared)


def _follow(found: bytes, place: int) -> int:
    """Where an offset at a place leads."""
    (offset,) = struct.unpack_from("<I", found, place)
    return place + int(offset)


def _table_at(found: bytes, place: int | None) -> int:
    if place is None:
        raise pa.ArrowInvalid("a message must have a header")
    return _follow(found, place)


def _field(found: bytes, table: int, number: int) -> int | None:
    """Where a field of a table is; none where the table leaves it out."""
    (back,) = struct.unpack_from("<i", found, table)
    (size,) = struct.unpack_from("<H", found, table - back)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", found, table - back + 4 + 2 * number)
    return table + offset if offset else None
