"""Replay the warm-up requests stored with a version before it takes traffic.

Rules and texts follow servables/tensorflow/saved_model_warmup(_util).cc.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from forecasting.contracts.artifacts import WARMUP_FILE
from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import read_records
from forecasting.wire.tensors import from_tensor
from serving.model_server.backends import Backend
from serving.model_server.examples import classify_plan, example_feeds, examples_of, multi_plans, regress_plan
from serving.model_server.metrics import WARMUP_LATENCY, WARMUP_RECORDS, ServerMetrics
from serving.model_server.signatures import ServedSignature, feeds_by_tensor, fetches_of, require_input_count
from serving.model_server.status import RequestError, StatusCode, invalid

MAX_RECORDS = 1000

Signatures = Mapping[str, ServedSignature]


@dataclass(frozen=True)
class WarmupReport:
    """What a warm-up took."""

    n_records: int = 0
    duration_s: float = 0.0

    def count(self, metrics: ServerMetrics, path: Path) -> None:
        """Put it on the metrics page; a version without a warm-up file leaves no trace."""
        if self.n_records:
            metrics.observe(WARMUP_LATENCY, self.duration_s * 1e6, str(path), "OK")
            metrics.count(WARMUP_RECORDS, str(path), "OK", by=self.n_records)


def warm_up(backend: Backend, signatures: Signatures, version_dir: Path, *, n_iterations: int = 1) -> WarmupReport:
    """Run every record of the version's warm-up file; none is no error.

    Raises:
        RequestError: The file is broken or a record fails; the version must then not be served.
    """
    path = version_dir / WARMUP_FILE
    if not path.is_file():
        return WarmupReport()
    start, n_records = time.perf_counter(), 0
    try:
        for record in read_records(path):
            n_records += 1
            if n_records > MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
            log = PredictionLog.FromString(record)
            for _ in range(n_iterations):
                _replay(backend, signatures, log)
    except ArtifactError as error:
        raise RequestError(
            StatusCode.DATA_LOSS, f"{error}. Please verify your warmup data is in TFRecord format."
        ) from error
    except (DecodeError, ValueError) as error:
        raise invalid(f"Failed to parse warmup record: record {n_records} from {path}: {error}") from error
    except RequestError as error:
        raise RequestError(
            error.code, f"warm-up of {version_dir} failed at record {n_records}: {error.message}"
        ) from error
    return WarmupReport(n_records, time.perf_counter() - start)


def _replay(backend: Backend, signatures: Signatures, log: Any) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        _replay_predict(backend, signatures, log.predict_log.request)
    elif kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        make = classify_plan if kind == "classify_log" else regress_plan
        plan = make(signatures, request.model_spec.signature_name)
        examples = examples_of(request.input)
        plan.result(backend.run(example_feeds([plan], examples), plan.fetches), len(examples))
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        plans = multi_plans(signatures, request.tasks)
        examples = examples_of(request.input)
        for plan in plans:
            plan.result(backend.run(example_feeds([plan], examples), plan.fetches), len(examples))
    elif kind is not None:
        raise RequestError(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")


def _replay_predict(backend: Backend, signatures: Signatures, request: Any) -> None:
    key = request.model_spec.signature_name or SERVING_DEFAULT
    if key not in signatures:
        raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
    signature = signatures[key]
    require_input_count(signature, request.inputs)
    feeds = feeds_by_tensor(signature, {alias: from_tensor(tensor) for alias, tensor in request.inputs.items()})
    aliases = fetches_of(signature, list(request.output_filter))
    backend.run(feeds, [signature.outputs[alias] for alias in aliases])
