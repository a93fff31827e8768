"""Files that take the forecasts which the database cannot take now, until it can.

A folder has one file for each process that spilled, locked while it is written: an unlocked one is complete, or its
process has died, and either way it may be read into the database by anybody. A record is its length and CRC-32, both
uint32, and JSON; what follows one that a kill has cut short cannot be read.
"""

import base64
import fcntl
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from forecasting.errors import ArtifactError
from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole

_HEAD = struct.Struct("<II")
_SUFFIX = ".spill"
_BEGUN, _DAMAGED = ".begun", ".damaged"


class DamagedSpillError(ArtifactError):
    """A record of a file cannot be read, so that nothing says where the next one begins."""


class ForecastSpill:
    """Appends batches to a file of its own in a folder; threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Write nothing yet."""
        self._folder, self._lock = folder, threading.Lock()
        self._file: BinaryIO | None = None

    def append(self, batches: list[ForecastBatchRecord]) -> None:
        """Append batches; once this returns they outlive the process.

        Raises:
            OSError: The file cannot be written; of the batch that failed nothing is left in it.
        """
        with self._lock:
            if self._file is None:
                self._file = self._begun()
            for batch in batches:
                self._write_whole(self._file, _framed(batch))

    def _begun(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Under another name until it is locked: an unlocked spill is anybody's to read and remove.
        path = self._folder / f"{uuid.uuid4().hex}{_BEGUN}"
        stream = path.open("xb", buffering=0)
        fcntl.flock(stream, fcntl.LOCK_EX)
        path.rename(path.with_suffix(_SUFFIX))
        return stream

    def _write_whole(self, stream: BinaryIO, content: bytes) -> None:
        begins = stream.tell()
        try:
            while content:
                content = content[stream.write(content) :]
        except OSError:
            try:
                stream.truncate(begins)
                stream.seek(begins)
            except OSError:
                # Behind half a record no other one would be found.
                self._file = None
                stream.close()
            raise

    def seal(self) -> None:
        """End the file, so that `waiting_spills` finds it; the next batch begins another one."""
        with self._lock:
            ended, self._file = self._file, None
        if ended is not None:
            # Not under the lock: whoever appends would wait for the disk.
            os.fsync(ended.fileno())
            ended.close()


def waiting_spills(folder: Path) -> list[Path]:
    """Files of spilled forecasts, those that are being written among them."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


@contextmanager
def claimed_spill(path: Path) -> Iterator[bool]:
    """Hold a file, so that nobody else reads it; false where somebody writes or reads it, or it is gone."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # Whoever held it may have removed it between the two calls.
        yield path.exists()


def read_spill(path: Path) -> Iterator[ForecastBatchRecord]:
    """Batches of a file, in the order in which they came.

    Raises:
        DamagedSpillError: A record cannot be read; those before it have been given.
    """
    with path.open("rb") as stream:
        begins = 0
        while head := stream.read(_HEAD.size):
            size, checksum = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 1)
            body = stream.read(size)
            must = f"a record of a spilled forecast must begin at byte {begins} of {path}"
            if len(body) < size or zlib.crc32(body) != checksum:
                raise DamagedSpillError(f"{must}, and what is there was cut short or changed")
            try:
                batch = _batch(orjson.loads(body))
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedSpillError(f"{must}, and what is there is of another form: {error!r}") from error
            yield batch
            begins = stream.tell()


def set_aside(path: Path) -> Path:
    """Give a file that cannot be read to its end another name, under which nothing reads or removes it."""
    return path.rename(path.with_suffix(_DAMAGED))


def _framed(batch: ForecastBatchRecord) -> bytes:
    answers = batch.answers
    body = orjson.dumps(
        {
            "request": batch.request,
            "created_at": batch.created_at,
            "role": batch.role.value,
            "model": batch.model,
            "version": batch.version,
            "series": list(batch.series),
            "origins": batch.origins.tolist(),
            "step_s": batch.step_s,
            "n_steps": batch.n_steps,
            "levels": list(batch.levels),
            "answers": None
            if answers is None
            else base64.b64encode(answers.astype("<f4", copy=False).tobytes()).decode(),
            "flags": None if batch.flags is None else batch.flags.tolist(),
            "latency_us": batch.latency_us,
            "problems": list(batch.problems),
        }
    )
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _batch(document: dict[str, Any]) -> ForecastBatchRecord:
    packed, flags = document["answers"], document["flags"]
    shape = (len(document["series"]), document["n_steps"], -1)
    answers = None if packed is None else np.frombuffer(base64.b64decode(packed), "<f4").reshape(shape)
    return ForecastBatchRecord(
        request=document["request"],
        created_at=document["created_at"],
        role=ForecastRole(document["role"]),
        model=document["model"],
        version=document["version"],
        series=tuple(document["series"]),
        origins=np.array(document["origins"], np.int64),
        step_s=document["step_s"],
        n_steps=document["n_steps"],
        levels=tuple(document["levels"]),
        answers=answers,
        flags=None if flags is None else np.array(flags, np.int64),
        latency_us=document["latency_us"],
        problems=tuple(document["problems"]),
    )
