"""What is fuzzed: everything that reads bytes or words of others, each with the errors that it may raise.

Anything else that escapes a parser is a fault: it would be a request answered with 500, or a run that ends with a traceback.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from forecasting.errors import AlmanacError

Parse = Callable[[bytes], object]
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class FuzzTarget:
    """A parser: what reads the bytes, the errors it may raise, and bytes to begin with."""

    parse: Parse
    allowed: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]

    def run(self, sent: bytes) -> str:
        """Parse; the name of the allowed error, or `read`. Other errors pass through."""
        try:
            self.parse(sent)
        except self.allowed as error:
            return type(error).__name__
        return "read"


def targets() -> dict[str, Callable[[], FuzzTarget]]:
    """Makers of the targets by name: each imports only what it needs."""
    return {
        "predict-request": predict_request,
        "rest-body": rest_body,
        "forecast-request": forecast_request,
        "arrow-rows": arrow_rows,
        "server-configuration": server_configuration,
        "csv": csv_table,
        "manifest": manifest,
        "version-manifest": version_manifest,
        "signature-file": signature_file,
        "lite-signatures": lite_signatures,
        "lite-operations": lite_operations,
        "time-zone": time_zone,
        "duration": duration,
        "moment": moment,
    }


def predict_request() -> FuzzTarget:
    """The request of gRPC: quick reader and official messages."""
    from forecasting.wire.fast_predict import PredictCall, TensorError, request_bytes

    inputs = {"history": np.ones((1, 6, 3), np.float32), "future": np.zeros((1, 3, 2), np.float32)}
    words = {"x": np.array([b"a", b"bc"], dtype=np.object_)}
    whole = request_bytes("m", inputs, signature="serving_default", version=3)
    seeds = (whole, whole[:40], _official(words), _official({"x": np.arange(4, dtype=np.int64)}), b"")
    return FuzzTarget(lambda sent: PredictCall(sent).arrays(), (DecodeError, TensorError), seeds)


def _official(inputs: dict[str, Any]) -> bytes:
    from forecasting.wire.client import predict_request as request_of

    return bytes(request_of("m", inputs).SerializeToString())


def rest_body() -> FuzzTarget:
    """A body of REST, read by the quick reader and by the careful one, which must agree."""
    from forecasting.wire.messages import DataType
    from serving.model_server.rest_json import parse_object
    from serving.model_server.rest_quick import MIN_BYTES, quick_body
    from serving.model_server.rest_values import values_of
    from serving.model_server.signatures import InputSpec
    from serving.model_server.status import RequestError

    kinds = {"x": DataType.DT_FLOAT, "n": DataType.DT_INT64, "s": DataType.DT_STRING}
    signatures = [{name: InputSpec(name, int(kind), None)} for name, kind in kinds.items()]
    signatures.append({name: spec for one in signatures for name, spec in one.items()})

    def parse(sent: bytes) -> None:
        body, wanted = parse_object(sent), None
        quick = quick_body(sent + b" " * MIN_BYTES)
        for inputs in signatures:
            found = None if quick is None else quick.arrays(inputs)
            try:
                wanted, _ = values_of(body, inputs, "")
            except RequestError:
                if found is not None:
                    raise AssertionError("the quick reader takes what the careful one refuses") from None
                continue
            for name, array in (found or {}).items():
                np.testing.assert_array_equal(array, wanted[name])

    seeds = (
        b'{"instances": [[1.0, 2], [3, NaN]]}', b'{"inputs": {"x": [[1]], "n": [1, -2], "s": ["a"]}}',
        b'{"signature_name": "s", "instances": [{"x": 1, "n": 2, "s": {"b64": "AAE="}}]}', b'{"inputs": [true, null]}',
        b'{"inputs": "\\ud83d\\ude00", "instances": 1e400}', b"[" * 1_000,
    )  # fmt: skip
    return FuzzTarget(parse, (RequestError,), seeds)


def forecast_request() -> FuzzTarget:
    """A body of the gateway."""
    from forecasting.answering.answer_error import AnswerError
    from serving.gateway.forecast_request import parse_forecast_request

    seeds = (
        b'{"series": ["a", "b"], "origin": "2026-01-31T00:00:00Z", "quantiles": [0.1, 0.5], "fallback": true, "model": 3}',
        b'{"history": {"a": {"start": "2026-01-01T00:00:00Z", "values": {"y": [1, null, 2.5]}}}, "static": {"a": {"c": "d"}}}',
        b'{"history": {"a": {"timestamps": ["2026-01-01T00:00:00+01:00"], "values": {"y": [1]}}}, "cutoff": "2026-01-01"}',
        b'{"known": {"a": {"t": [1, 2], "u": {"2026-01-31T00:00:00Z": 1}}}, "model": "candidate"}', b"", b"[]",
    )  # fmt: skip
    return FuzzTarget(parse_forecast_request, (AnswerError,), seeds)


def arrow_rows() -> FuzzTarget:
    """A table in Arrow's stream format, as the gateway takes it."""
    import pyarrow as pa

    from forecasting.answering.answer_error import AnswerError
    from serving.gateway.arrow_bodies import read_rows

    times = pa.array([0, 3600], pa.timestamp("s", "UTC"))
    columns = {
        "series": pa.array(["a", "b"]),
        "timestamp": times,
        "y": pa.array([1.0, None]),
        "c": pa.array(["d", "e"]),
    }
    made = []
    for names in (("series",), tuple(columns)):
        table = pa.table({name: columns[name] for name in names})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        made.append(sink.getvalue().to_pybytes())
    return FuzzTarget(read_rows, (AnswerError,), (*made, b""))


def server_configuration() -> FuzzTarget:
    """The model server's files in text format."""
    from serving.model_server.model_specs import read_model_config
    from serving.model_server.status import RequestError
    from serving.model_server.text_files import metrics_path, read_batching, read_ssl_config

    def parse(sent: bytes) -> None:
        place = _file(sent, "models.config")
        for read in (read_model_config, read_batching, metrics_path, read_ssl_config):
            try:
                read(place)
            except RequestError:
                continue

    seeds = (
        b"""model_config_list {config {name: "m" base_path: "/models/m" model_platform: "tensorflow"
        model_version_policy {specific {versions: 1}} version_labels {key: "stable" value: 1}}}""",
        b"max_batch_size { value: 8 }\nallowed_batch_sizes: 4\nallowed_batch_sizes: 8\nnum_batch_threads { value: 2 }",
        b'prometheus_config { enable: true path: "/metrics" }', b'server_key: "k" client_verify: true', b"a {" * 200,
    )  # fmt: skip
    return FuzzTarget(parse, (RequestError,), seeds)


def csv_table() -> FuzzTarget:
    """A table of text in two dialects: its rows, its times, its numbers."""
    from components.validation.parsing import parse_numbers
    from components.validation.times import parse_times
    from forecasting.config.table import DataConfig
    from forecasting.contracts.layout import HomeLayout
    from tests.unit.validation.tables import open_source

    place = _folder() / "table.csv"
    dialects: list[dict[str, object]] = [{}, {"delimiter": ";", "decimal": ",", "comment": "#", "skip_rows": 1}]
    configs = [
        DataConfig.model_validate({"uri": str(place), "time_column": "time", "target": "load", "csv": csv, **zone})
        for csv, zone in zip(dialects, ({}, {"time_zone": "Australia/Melbourne"}), strict=True)
    ]

    def parse(sent: bytes) -> None:
        place.write_bytes(sent)
        for config in configs:
            try:
                table = open_source(config, HomeLayout(place.parent))
                parse_numbers(table, "load")
                parse_times(table, config, np.zeros(table.table.num_rows, np.int64))
            except AlmanacError:
                continue

    seeds = (
        b"time,load\n2024-01-01T00:00:00Z,1.5\n2024-01-01T01:00:00Z,-2\n", b'time,load\r\n"2024-01-01",\r\n',
        b"# made by hand\ntime;load\n2024-01-01 00:00;1,5\n", b"\xef\xbb\xbftime,load\n1,2,3\n", b"time,load\n\x00,\xff\n",
        b"time,load\n2024-04-07T02:30:00+11:00,1\n", b"x\ntime;load\n2024-04-07T02:30;1\n2024-04-07T02:30;2\n",
    )  # fmt: skip
    return FuzzTarget(parse, (AlmanacError,), seeds)


def manifest() -> FuzzTarget:
    """`manifest.json` of a step, and what is checked by it."""
    from forecasting.contracts.artifacts import MANIFEST_FILE, ArtifactKind
    from forecasting.manifests import verify, write_manifest

    folder = _folder() / "step"
    folder.mkdir(exist_ok=True)
    (folder / "payload.txt").write_text("payload", encoding="utf-8")
    write_manifest(folder, ArtifactKind.FEATURES, parents={"validate_data": "0"})
    whole = (folder / MANIFEST_FILE).read_bytes()

    def parse(sent: bytes) -> None:
        (folder / MANIFEST_FILE).write_bytes(sent)
        verify(folder, ArtifactKind.FEATURES)

    return FuzzTarget(parse, (AlmanacError,), (whole, b"[]", b'{"kind": "features", "payload": {}}', b"[" * 500))


def version_manifest() -> FuzzTarget:
    """`manifest.json` of a published version, and what is checked by it."""
    from forecasting.admission.version_files import check_version_files, write_version_manifest
    from forecasting.contracts.artifacts import MANIFEST_FILE

    folder = _folder() / "version"
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    write_version_manifest(folder)
    whole = (folder / MANIFEST_FILE).read_bytes()

    def parse(sent: bytes) -> None:
        (folder / MANIFEST_FILE).write_bytes(sent)
        check_version_files(folder)

    return FuzzTarget(parse, (AlmanacError,), (whole, b'{"schema_version": 1, "files": {"a": "0"}}', b"[]", b"[" * 500))


def signature_file() -> FuzzTarget:
    """`model.sig` of a version: the whole file, and, signed by the right key, the statement in it."""
    import base64
    import json

    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    from forecasting.admission import signing
    from forecasting.admission.version_files import SIGNATURE_FILE, write_version_manifest

    folder, subject, key = _folder() / "signed", "m/1", generate_private_key(SECP256R1())
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    listed = write_version_manifest(folder)
    signing.sign_version(folder, listed, key, subject=subject)
    bundle = json.loads((folder / SIGNATURE_FILE).read_text(encoding="utf-8"))
    statement = base64.b64decode(bundle["dsseEnvelope"]["payload"])

    def parse(sent: bytes) -> None:
        # What begins as the statement does is signed: nothing that comes after the signature would be read else.
        made = _signed(sent, key, bundle) if sent[:1] == statement[:1] and b"dsseEnvelope" not in sent else sent
        (folder / SIGNATURE_FILE).write_bytes(made)
        signing.check_signature(folder, listed, key.public_key(), subject=subject)

    return FuzzTarget(parse, (AlmanacError,), (json.dumps(bundle).encode(), statement, b"[]", b"[" * 500))


def _signed(payload: bytes, key: Any, bundle: dict[str, Any]) -> bytes:
    """A bundle with a payload of one's own and the right signature of it."""
    import base64
    import json

    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    kind = bundle["dsseEnvelope"]["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signature = base64.b64encode(key.sign(encoded, ECDSA(SHA256()))).decode()
    envelope = {
        **bundle["dsseEnvelope"],
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": signature}],
    }
    return json.dumps({**bundle, "dsseEnvelope": envelope}).encode()


def lite_signatures() -> FuzzTarget:
    """The signatures of a TensorFlow Lite file."""
    from forecasting.wire.lite_signatures import read_signatures

    return FuzzTarget(read_signatures, (AlmanacError,), (_lite_model(), b"TFL3", bytes(4) + b"TFL3" + bytes(64)))


def lite_operations() -> FuzzTarget:
    """The operations of a TensorFlow Lite file, and whether they are allowed."""
    from forecasting.admission.operations import allowed_operations, check_lite_model

    def parse(sent: bytes) -> None:
        check_lite_model(_file(sent, "model.tflite"), allowed_operations())

    whole = _lite_model()
    return FuzzTarget(parse, (AlmanacError,), (whole, _lite_model(custom=b"Sneaky"), whole[:100], b"TFL3"))


def _lite_model(custom: bytes | None = None) -> bytes:
    """A TensorFlow Lite file of two tensors and two kinds of operations, without any weights."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    codes = [schema.OperatorCodeT(), schema.OperatorCodeT()]
    codes[0].builtinCode = codes[0].deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    codes[1].builtinCode = codes[1].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM if custom else 0
    codes[1].customCode = custom
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, name in zip(tensors, (b"history:0", b"quantiles:0"), strict=True):
        tensor.name, tensor.shape, tensor.type = name, [1, 3], schema.TensorType.FLOAT32
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], []
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1_024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def time_zone() -> FuzzTarget:
    """A name of a time zone."""
    from forecasting.localities import time_zone as zone_of

    return FuzzTarget(
        lambda sent: zone_of(_text(sent)), (AlmanacError,), (b"UTC", b"Australia/Melbourne", b"posix/UTC")
    )


def duration() -> FuzzTarget:
    """A duration, as frequencies and horizons are written."""
    from forecasting.durations import duration_steps

    def parse(sent: bytes) -> None:
        duration_steps(_text(sent), 60)

    return FuzzTarget(parse, (AlmanacError,), (b"30min", b" 24 h ", b"28d", b"w", b"9" * 400 + b"h"))


def moment() -> FuzzTarget:
    """A time of a request."""
    from forecasting.answering.answer_error import AnswerError
    from serving.gateway.forecast_request import parse_moment

    seeds = (b"2026-01-31T00:00:00Z", b"20260131T00+0130", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00")
    return FuzzTarget(lambda sent: parse_moment(_text(sent), "origin"), (AnswerError,), seeds)


def _text(sent: bytes) -> str:
    return sent.decode("utf-8", "replace")


@cache
def _folder() -> Path:
    """In memory where there is some: a million files would wear out a disk."""
    return Path(tempfile.mkdtemp(prefix="almanac-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))


def _file(sent: bytes, name: str) -> Path:
    place = _folder() / name
    place.write_bytes(sent)
    return place
