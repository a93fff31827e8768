"""Replay the warm-up requests stored with a version before it takes traffic."""

import time
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from forecasting.contracts.artifacts import WARMUP_FILE
from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import read_records
from forecasting.wire.tensors import from_tensor
from serving.model_server.backends import Backend
from serving.model_server.feeds import check_feeds, check_fetches
from serving.model_server.status import RequestError, StatusCode, invalid

MAX_RECORDS = 1000


@dataclass(frozen=True)
class WarmupReport:
    """What a warm-up took."""

    n_records: int
    duration_s: float


def warm_up(backend: Backend, version_dir: Path) -> WarmupReport:
    """Run every record of the version's warm-up file; none is no error.

    Raises:
        RequestError: The file is broken or a record fails; the version must then not be served.
    """
    path = version_dir / WARMUP_FILE
    if not path.is_file():
        return WarmupReport(0, 0.0)
    start, n_records = time.perf_counter(), 0
    try:
        for record in read_records(path):
            n_records += 1
            if n_records > MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
            _replay(backend, PredictionLog.FromString(record))
    except (ArtifactError, DecodeError, RequestError, ValueError) as error:
        code = error.code if isinstance(error, RequestError) else StatusCode.DATA_LOSS
        raise RequestError(code, f"warm-up of {version_dir} failed at record {n_records}: {error}") from error
    return WarmupReport(n_records, time.perf_counter() - start)


def _replay(backend: Backend, log: object) -> None:
    kind = log.WhichOneof("log_type")  # type: ignore[attr-defined]
    if kind != "predict_log":
        raise RequestError(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
    request = log.predict_log.request  # type: ignore[attr-defined]
    key = request.model_spec.signature_name or SERVING_DEFAULT
    if key not in backend.signatures:
        raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
    signature = backend.signatures[key]
    feeds = {alias: from_tensor(tensor) for alias, tensor in request.inputs.items()}
    check_feeds(signature, feeds)
    backend.run(signature, feeds, check_fetches(signature, list(request.output_filter)))
