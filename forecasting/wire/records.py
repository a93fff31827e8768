"""TFRecord files: length, masked CRC-32C of the length, payload, masked CRC-32C of the payload.

Format: tensorflow/core/lib/io/record_writer.h. Used for warm-up requests and the model server's request log.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

from forecasting.errors import ArtifactError

_MASK_DELTA = 0xA282EAD8


def _masked(payload: bytes) -> bytes:
    value: int = google_crc32c.value(payload)
    rotated = ((value >> 15) | (value << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK_DELTA) & 0xFFFFFFFF)


def frame_record(record: bytes) -> bytes:
    """A record as it lies in a TFRecord file."""
    length = struct.pack("<Q", len(record))
    return length + _masked(length) + record + _masked(record)


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write a TFRecord file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        for record in records:
            stream.write(frame_record(record))


def read_records(path: Path) -> Iterator[bytes]:
    """Read a TFRecord file.

    Raises:
        ArtifactError: A record is cut short or its checksum is wrong.
    """
    with path.open("rb") as stream:
        position = 0
        while head := stream.read(12):
            if len(head) < 12 or _masked(head[:8]) != head[8:]:
                raise ArtifactError(f"{path} must be a TFRecord file; the record at byte {position} has a broken head")
            (length,) = struct.unpack("<Q", head[:8])
            body = stream.read(length + 4)
            if len(body) < length + 4 or _masked(body[:length]) != body[length:]:
                raise ArtifactError(
                    f"{path} must be a TFRecord file; the record at byte {position} is cut short or altered"
                )
            yield body[:length]
            position += 16 + length
