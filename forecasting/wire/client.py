"""Typed clients of a model server, over gRPC and over REST.

They speak TensorFlow Serving's protocol, so they work with the embedded server and with the
official container alike. Passing conditions (not reachable, too busy, too slow) are
`RetryableError`; other answers than OK are `RemoteError`.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import RemoteError, RetryableError
from forecasting.wire.fast_predict import output_array
from forecasting.wire.messages import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
    VersionState,
)
from forecasting.wire.tensors import from_tensor, to_tensor

PREDICT_METHOD = f"/{PREDICTION_SERVICE}/Predict"
STATUS_METHOD = f"/{MODEL_SERVICE}/GetModelStatus"
CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
LOAD_S = 120.0
"""Longest wait for a version to be loaded, seconds."""

_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_PASSING_HTTP = {429, 503, 504}
_PAUSE_S = 0.05

Arrays = Mapping[str, npt.NDArray[Any]]


class ServedModelMissingError(RemoteError):
    """The server runs and has no such model or version."""


@dataclass(frozen=True)
class PredictionRecord:
    """An answer: quantiles, then the mean where the model has one, float32 `[B,H,A]`, and the version that gave it where the protocol says it."""

    quantiles: npt.NDArray[np.float32]
    version: int | None


@dataclass(frozen=True)
class VersionStatusRecord:
    """State of one version on the server (name of a `VersionState`) and its last error."""

    version: int
    state: str
    error: str


def predict_request(model: str, inputs: Arrays, *, signature: str = SERVING_DEFAULT, version: int | None = None) -> Any:
    """Make a PredictRequest message."""
    request = PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_tensor(array))
    return request


def read_prediction(response: Any) -> PredictionRecord:
    """Read a PredictResponse message.

    Raises:
        RemoteError: It has no usable output `quantiles`.
    """
    if QUANTILES not in response.outputs:
        raise RemoteError(
            f"the model server must answer with the output {QUANTILES!r}, found {sorted(response.outputs)}"
        )
    try:
        quantiles = from_tensor(response.outputs[QUANTILES])
    except ValueError as error:
        raise RemoteError(f"the model server's output {QUANTILES!r} cannot be read: {error}") from error
    return PredictionRecord(np.asarray(quantiles, dtype=np.float32), response.model_spec.version.value)


def read_quantiles(raw: bytes) -> npt.NDArray[np.float32]:
    """The quantiles `[B,H,A]` of a serialised PredictResponse.

    Raises:
        RemoteError: It has no usable output `quantiles`.
    """
    try:
        found = output_array(raw, QUANTILES)
        official = None if found is not None else PredictResponse.FromString(raw)
    except DecodeError as error:
        raise RemoteError(f"the model server's answer cannot be read: {error}") from error
    return read_prediction(official).quantiles if found is None else np.asarray(found, dtype=np.float32)


def grpc_error(error: grpc.RpcError, address: str) -> RemoteError | RetryableError:
    """The error of ours for a failed call."""
    code, text = error.code(), f"the model server at {address} answered {error.code().name}: {error.details()}"
    if code in _PASSING:
        return RetryableError(text)
    return ServedModelMissingError(text) if code == grpc.StatusCode.NOT_FOUND else RemoteError(text)


class GrpcClient:
    """A client over gRPC; safe to share between threads."""

    def __init__(self, address: str, *, timeout_s: float = 10.0) -> None:
        """Open a channel to `host:port`; nothing is sent yet."""
        self._address, self._timeout_s = address, timeout_s
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._predict = self._channel.unary_unary(
            PREDICT_METHOD,
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        self._status = self._channel.unary_unary(
            STATUS_METHOD,
            request_serializer=GetModelStatusRequest.SerializeToString,
            response_deserializer=GetModelStatusResponse.FromString,
        )

    def predict(
        self, model: str, inputs: Arrays, *, signature: str = SERVING_DEFAULT, version: int | None = None
    ) -> PredictionRecord:
        """Ask for quantiles.

        Args:
            model: Name on the server.
            inputs: Arrays by input name, as the signature has them.
            signature: Signature key.
            version: A version, or none for the one that the server answers unpinned requests from.

        Raises:
            RetryableError: The server cannot be reached or is too busy.
            RemoteError: It answers with an error.
        """
        request = predict_request(model, inputs, signature=signature, version=version)
        try:
            return read_prediction(self._predict(request, timeout=self._timeout_s))
        except grpc.RpcError as error:
            raise grpc_error(error, self._address) from error

    def status(self, model: str) -> tuple[VersionStatusRecord, ...]:
        """Versions of a model as the server knows them, highest first.

        Raises:
            RetryableError: The server cannot be reached.
            RemoteError: It answers with an error; `ServedModelMissingError` where it has no such model.
        """
        request = GetModelStatusRequest()
        request.model_spec.name = model
        try:
            response = self._status(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise grpc_error(error, self._address) from error
        return tuple(
            VersionStatusRecord(entry.version, VersionState(entry.state).name, entry.status.error_message)
            for entry in response.model_version_status
        )

    def wait_available(
        self,
        model: str,
        version: int | None = None,
        *,
        timeout_s: float = LOAD_S,
        check: Callable[[], None] | None = None,
    ) -> int:
        """Wait until a version (or any) of a model is AVAILABLE; returns the version.

        Args:
            model: Name on the server.
            version: A version, or none for any.
            timeout_s: Longest wait.
            check: Called between looks; raises where waiting on is in vain.

        Raises:
            RemoteError: The server gave up loading it.
            RetryableError: It did not become available in time.
        """
        return _wait_available(self.status, model, version, timeout_s, check)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RestClient:
    """A client over HTTP with one kept connection; calls from several threads wait for each other."""

    def __init__(self, address: str, *, timeout_s: float = 10.0) -> None:
        """Remember `host:port`; nothing is sent yet."""
        self._address = address
        self._lock = threading.Lock()
        self._connection = http.client.HTTPConnection(address, timeout=timeout_s)

    def predict(
        self, model: str, inputs: Arrays, *, signature: str = SERVING_DEFAULT, version: int | None = None
    ) -> PredictionRecord:
        """Ask for quantiles in the column format; see `GrpcClient.predict`. REST does not say which version answered."""
        path = f"/v1/models/{model}" + (f"/versions/{version}" if version is not None else "") + ":predict"
        # Bare NaN tokens, which json writes, are how TensorFlow Serving reads a missing value.
        columns = {name: array.tolist() for name, array in inputs.items()}
        document = self._ask("POST", path, json.dumps({"signature_name": signature, "inputs": columns}).encode())
        found = document.get("outputs") if isinstance(document, dict) else None
        values = found.get(QUANTILES) if isinstance(found, dict) else found
        try:
            return PredictionRecord(np.asarray(values, dtype=np.float32), None)
        except (TypeError, ValueError) as error:
            raise RemoteError(
                f"the model server at {self._address} must answer with numbers under 'outputs': {error}"
            ) from error

    def status(self, model: str) -> tuple[VersionStatusRecord, ...]:
        """See `GrpcClient.status`."""
        document = self._ask("GET", f"/v1/models/{model}")
        return tuple(
            VersionStatusRecord(int(entry["version"]), entry["state"], entry["status"]["error_message"])
            for entry in document["model_version_status"]
        )

    def wait_available(
        self,
        model: str,
        version: int | None = None,
        *,
        timeout_s: float = LOAD_S,
        check: Callable[[], None] | None = None,
    ) -> int:
        """Wait until a version (or any) of a model is AVAILABLE; returns the version.

        Args:
            model: Name on the server.
            version: A version, or none for any.
            timeout_s: Longest wait.
            check: Called between looks; raises where waiting on is in vain.

        Raises:
            RemoteError: The server gave up loading it.
            RetryableError: It did not become available in time.
        """
        return _wait_available(self.status, model, version, timeout_s, check)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        with self._lock:
            try:
                self._connection.request(method, path, body, {"Content-Type": "application/json"})
                response = self._connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise RetryableError(f"the model server at {self._address} cannot be reached: {error}") from error
        try:
            document = json.loads(text)
        except ValueError as error:
            raise RemoteError(f"the model server at {self._address} answered {response.status} with no JSON") from error
        if response.status == 200:
            return document
        message = f"the model server at {self._address} answered {response.status}: {document.get('error', text[:200])}"
        if response.status in _PASSING_HTTP:
            raise RetryableError(message)
        raise (ServedModelMissingError if response.status == 404 else RemoteError)(message)


def _wait_available(
    status: Callable[[str], tuple[VersionStatusRecord, ...]],
    model: str,
    version: int | None,
    timeout_s: float,
    check: Callable[[], None] | None,
) -> int:
    deadline = time.monotonic() + timeout_s
    last = "no answer yet"
    while time.monotonic() < deadline:
        try:
            found = [entry for entry in status(model) if version in (None, entry.version)]
        except (RetryableError, ServedModelMissingError) as error:
            found, last = [], str(error)
        for entry in found:
            if entry.state == VersionState.AVAILABLE.name:
                return int(entry.version)
            last = f"version {entry.version} is {entry.state}" + (f": {entry.error}" if entry.error else "")
        if any(entry.state == VersionState.END.name and entry.error for entry in found):
            raise RemoteError(f"model {model!r} cannot be loaded by the server: {last}")
        if check is not None:
            check()
        time.sleep(_PAUSE_S)
    wanted = f"version {version} of " if version is not None else ""
    raise RetryableError(f"{wanted}model {model!r} must become available within {timeout_s:g} s; {last}")
