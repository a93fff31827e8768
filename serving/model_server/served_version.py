"""One version of one model: its state, its backend while it is loaded, and how fast it runs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.messages import ModelSpec, PredictResponse, VersionState
from serving.model_server.backends import Backend
from serving.model_server.signatures import ServedSignature
from serving.model_server.status import RequestError, StatusCode

if TYPE_CHECKING:
    from serving.model_server.batching import BatchQueues

QUICK_S, SLOW_S, BLOCKING_S = 0.0005, 0.005, 0.1
N_QUICK = 20
_MAX_N_QUICK = 2000
_STRIKE, _MAX_STRIKES = 2, 8
_NEWEST = 0.1


class Pace:
    """Whether calls of a version are so short that a thread would cost more than the call.

    A version earns calls on the event loop by some quick calls on a thread, for inputs no larger than twice the
    largest quick one. It loses that right by one call that blocks the loop for long, or when slow calls are no
    longer an exception (a busy machine makes some of any), and must then earn it by more.
    """

    def __init__(self) -> None:
        """Start on threads."""
        self._needed, self._n_quick, self._strikes = N_QUICK, 0, 0
        self._largest_bytes = 0
        self.expected_s = 0.0
        """Seconds of a call on a thread, the last ones counting most."""

    def inline(self, n_bytes: int) -> bool:
        """Whether a call with inputs of that size may run on the event loop."""
        return self._n_quick >= self._needed and n_bytes <= 2 * self._largest_bytes

    def note(self, seconds: float, n_bytes: int) -> None:
        """Remember how long a call took, by the clock."""
        self.expected_s += _NEWEST * (seconds - self.expected_s)
        if seconds <= QUICK_S:
            self._n_quick += 1
            self._strikes = max(0, self._strikes - 1)
            self._largest_bytes = max(self._largest_bytes, n_bytes)
            return
        if seconds > SLOW_S:
            self._strikes += _STRIKE
        if seconds > BLOCKING_S or self._strikes >= _MAX_STRIKES:
            if self._n_quick >= self._needed:
                self._needed = min(2 * self._needed, _MAX_N_QUICK)
            self._n_quick, self._strikes, self._largest_bytes = 0, 0, 0


@dataclass(eq=False)
class ServedVersion:
    """One version of one model."""

    name: str
    version: int
    path: Path
    state: VersionState = VersionState.START
    error_code: StatusCode = StatusCode.OK
    error_message: str = ""
    backend: Backend | None = None
    signatures: Mapping[str, ServedSignature] = field(default_factory=dict)
    queues: "BatchQueues | None" = None
    n_in_flight: int = 0
    n_failures: int = 0
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    pace: Pace = field(default_factory=Pace)
    _echoes: dict[str, bytes] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether loading it was given up."""
        return self.state == VersionState.END and self.error_code != StatusCode.OK

    def require_backend(self) -> Backend:
        """The backend.

        Raises:
            RequestError: UNAVAILABLE: the version is going away.
        """
        if self.backend is None:
            raise RequestError(StatusCode.UNAVAILABLE, f"version {self.version} of {self.name} is being unloaded")
        return self.backend

    def spec(self, signature_name: str | None) -> "ModelSpec":
        """The ModelSpec that an answer echoes; no signature for metadata."""
        spec = ModelSpec(name=self.name)
        spec.version.value = self.version
        if signature_name is not None:
            spec.signature_name = signature_name or SERVING_DEFAULT
        return spec

    def echo(self, signature_name: str) -> bytes:
        """A serialised PredictResponse with nothing but the ModelSpec, to be appended to one with the outputs."""
        found = self._echoes.get(signature_name)
        if found is None:
            message = PredictResponse(model_spec=self.spec(signature_name))
            found = self._echoes[signature_name] = bytes(message.SerializeToString())
        return found

    def release(self) -> None:
        """One request less runs."""
        self.n_in_flight -= 1
        if self.n_in_flight == 0:
            self.drained.set()

    async def wait_drained(self) -> None:
        """Wait until no request runs."""
        while self.n_in_flight:
            self.drained.clear()
            await self.drained.wait()
