"""A sample of requests and answers as PredictionLog records: warm-up file, replay corpus, input of a drift check.

Files are TFRecord files `<prefix>-<time>-<process>.tfrecord`; a full one is closed and the next begun, so
that whoever reads them never waits for the server. Writing happens on a thread of its own; when it cannot
keep up, records are dropped and counted rather than requests delayed.
"""

import logging
import os
import queue
import random
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import frame_record
from forecasting.wire.tensors import to_tensor
from serving.model_server.backends import Arrays

logger = logging.getLogger(__name__)

_LOOK_S = 0.1


class RequestLog:
    """Samples and writes."""

    def __init__(
        self, prefix: Path, rate: float, *, max_file_bytes: int = 64 * 2**20, seed: int | None = None, limit: int = 1000
    ) -> None:
        """Open no file yet.

        Args:
            prefix: Folder and beginning of the files' names.
            rate: Share of the requests to keep, 0 to 1.
            max_file_bytes: Size after which the next file is begun.
            seed: Of the sampling.
            limit: Records that may wait for the disk.
        """
        self._prefix, self._rate, self._max_file_bytes = prefix, rate, max_file_bytes
        self._random = random.Random(seed)  # nosec B311 # of a sample
        self._records: queue.Queue[bytes | None] = queue.Queue(limit)
        self.n_dropped = 0
        self._n_files = 0
        self._writer = threading.Thread(target=self._write, name="request-log", daemon=True)
        self._writer.start()

    def offer_predict(self, request: Any, response: bytes) -> None:
        """Keep a Predict request, if it is in the sample; both have the wire form of the real messages."""
        if self._random.random() >= self._rate:
            return
        log = PredictionLog()
        log.predict_log.request.ParseFromString(request.SerializeToString())
        log.predict_log.response.ParseFromString(response)
        self._put(log)

    def offer_arrays(self, spec: Any, sent: Arrays, results: Arrays) -> None:
        """Keep a Predict request that came as JSON, if it is in the sample."""
        if self._random.random() >= self._rate:
            return
        log = PredictionLog()
        for message, arrays in ((log.predict_log.request.inputs, sent), (log.predict_log.response.outputs, results)):
            for alias, array in arrays.items():
                message[alias].CopyFrom(to_tensor(array))
        log.predict_log.request.model_spec.CopyFrom(spec)
        log.predict_log.response.model_spec.CopyFrom(spec)
        self._put(log)

    def offer(self, kind: str, request: Any, response: Any) -> None:
        """Keep another request, if it is in the sample; `kind` is the field of PredictionLog."""
        if self._random.random() >= self._rate:
            return
        log = PredictionLog()
        getattr(log, kind).request.CopyFrom(request)
        getattr(log, kind).response.CopyFrom(response)
        self._put(log)

    def close(self, limit_s: float = 10.0) -> None:
        """Write what waits, then end; a disk that hangs is not waited for longer than the limit."""
        deadline_s = time.monotonic() + limit_s
        # A writer that ended (the disk is full) takes nothing more: an unlimited wait for room would never end.
        while self._writer.is_alive() and time.monotonic() < deadline_s:
            try:
                self._records.put(None, timeout=_LOOK_S)
                break
            except queue.Full:
                continue
        self._writer.join(max(0.0, deadline_s - time.monotonic()))

    def _put(self, log: Any) -> None:
        try:
            self._records.put_nowait(log.SerializeToString())
        except queue.Full:
            self.n_dropped += 1

    def _write(self) -> None:
        stream: BinaryIO | None = None
        try:
            while (record := self._records.get()) is not None:
                if stream is None or stream.tell() >= self._max_file_bytes:
                    if stream is not None:
                        stream.close()
                    stream = self._next_file()
                stream.write(frame_record(record))
                if self._records.empty():
                    stream.flush()
        except OSError as error:
            logger.error("the request log cannot be written and ends here: %s", error)
        finally:
            if stream is not None:
                stream.close()

    def _next_file(self) -> BinaryIO:
        self._prefix.parent.mkdir(parents=True, exist_ok=True)
        self._n_files += 1
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{self._prefix.name}-{stamp}-{os.getpid()}-{self._n_files}.tfrecord"
        return self._prefix.with_name(name).open("ab")
