"""Command line of the model server: TensorFlow Serving's flags, and ours apart."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.admission.loading import AdmissionConfig
from forecasting.admission.operations import allowed_operations, read_more_operations
from forecasting.admission.signing import read_public_key
from forecasting.wire.messages import ConfigProto
from serving.model_server.backends import BackendConfig
from serving.model_server.batching import BatchingConfig
from serving.model_server.executor import LimitsConfig
from serving.model_server.grpc_service import GrpcConfig
from serving.model_server.model_specs import ServedModelSpec, read_model_config
from serving.model_server.official_flags import OFFICIAL_FLAGS, FlagSpec
from serving.model_server.rest_app import RestConfig
from serving.model_server.status import invalid
from serving.model_server.text_files import metrics_path, read_batching, read_ssl_config, read_text_file
from serving.model_server.version_loading import LoadingConfig

OWN_FLAGS = (
    FlagSpec("bind_address", "127.0.0.1", "address both ports listen on"),
    FlagSpec("num_processes", 1, "processes that share the ports"),
    FlagSpec("n_worker_threads", 4, "model calls at the same time, in each process"),
    FlagSpec("max_queued_calls", 1000, "model calls that wait for a thread; more are refused"),
    FlagSpec("max_queue_seconds", 3.0, "a model call that is expected to wait longer for a thread is refused"),
    FlagSpec(
        "refusals_per_second",
        200.0,
        "model calls whose refusal is told at once; further ones are told one after another, each within a second; "
        "0: all at once",
    ),
    FlagSpec("max_concurrent_requests", 10_000, "requests in the server; more are refused at once"),
    FlagSpec("max_body_bytes", 64 * 2**20, "largest HTTP body"),
    FlagSpec("max_message_bytes", 2**31 - 1, "largest gRPC message"),
    FlagSpec("drain_seconds", 30.0, "time from SIGTERM to the end, whatever hangs by then"),
    FlagSpec("reload_timeout_seconds", 600.0, "how long a reload waits for new models"),
    FlagSpec("require_version_manifest", False, "refuse versions without the list of files that publishing writes"),
    FlagSpec(
        "signature_key_file", "", "public key (PEM) whose owner must have signed every version; empty: none must be"
    ),
    FlagSpec("allowed_operations_file", "", "names of further operations that a model may have, one a line"),
    FlagSpec("request_log_prefix", "", "folder and beginning of the names of request log files; empty: no log"),
    FlagSpec("request_log_sampling_rate", 0.01, "share of the requests in the log, 0 to 1"),
)


_SPARE_CALLS = 100
_LEAST = {
    "num_processes": 1,
    "n_worker_threads": 1,
    "max_queued_calls": 0,
    "max_queue_seconds": 0,
    "refusals_per_second": 0,
    "max_concurrent_requests": 1,
    "max_body_bytes": 1,
    "max_message_bytes": 1,
    "drain_seconds": 0,
    "reload_timeout_seconds": 0,
    "rest_api_timeout_in_ms": 1,
}


@dataclass(frozen=True)
class RequestLogConfig:
    """Where a sample of the requests is kept."""

    prefix: Path
    rate: float


@dataclass(frozen=True)
class WorkerConfig:
    """Place of a process among the processes of one server."""

    folder: Path
    index: int


@dataclass(frozen=True)
class ServerConfig:
    """Resolved flags."""

    grpc: GrpcConfig
    rest: RestConfig
    rest_api_port: int | None
    bind_address: str
    model_config_file: Path | None
    model: ServedModelSpec | None
    config_poll_s: float
    file_system_poll_s: float
    drain_s: float
    reload_timeout_s: float
    loading: LoadingConfig
    limits: LimitsConfig
    check_methods: bool = False
    as_content: bool = False
    request_log: RequestLogConfig | None = None
    n_processes: int = 1
    worker: WorkerConfig | None = None

    @property
    def port(self) -> int:
        """The gRPC port as asked for."""
        return int(self.grpc.address.rpartition(":")[2])

    def specs(self) -> tuple[ServedModelSpec, ...]:
        """The models to serve, read anew from the configuration file where there is one.

        Raises:
            RequestError: The file cannot be used.
        """
        if self.model_config_file is not None:
            return read_model_config(self.model_config_file)
        return (self.model,) if self.model is not None else ()


def host_of(address: str) -> str:
    """An address as it stands before a port: one of IPv6 in brackets."""
    bare = address.strip("[]")
    return f"[{bare}]" if ":" in bare else bare


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    parser = argparse.ArgumentParser(prog="python -m serving.model_server", allow_abbrev=False, description=__doc__)
    for title, specs in (("flags of tensorflow_model_server", OFFICIAL_FLAGS), ("our own flags", OWN_FLAGS)):
        group = parser.add_argument_group(title)
        for spec in specs:
            _add(group, spec)
    parser.set_defaults(rest_api_port=None)
    # For the processes that --num_processes starts, not for people.
    parser.add_argument("--worker_folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--worker_index", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def parse_flags(arguments: Sequence[str]) -> ServerConfig:
    """Read the command line; on an unknown flag the process ends with code 2 and a line that names it.

    Raises:
        RequestError: INVALID_ARGUMENT: flags contradict each other, or a file that one names cannot be used.
    """
    return config_of(build_parser().parse_args(arguments))


def config_of(flags: argparse.Namespace) -> ServerConfig:
    """Resolve parsed flags.

    Raises:
        RequestError: See `parse_flags`.
    """
    _require_honoured(flags)
    if not flags.model_base_path and not flags.model_config_file:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    model = None
    if not flags.model_config_file:
        model = ServedModelSpec(flags.model_name, Path(flags.model_base_path).absolute())
    for name, least in _LEAST.items():
        if (found := getattr(flags, name)) < least:
            raise invalid(f"--{name} must be at least {least}, found {found}")
    batching, n_batch_threads = _batching(flags)
    log = None
    if flags.request_log_prefix:
        if not 0 <= flags.request_log_sampling_rate <= 1:
            raise invalid(f"--request_log_sampling_rate must lie in 0 to 1, found {flags.request_log_sampling_rate}")
        log = RequestLogConfig(Path(flags.request_log_prefix), flags.request_log_sampling_rate)
    n_workers = max(flags.n_worker_threads, n_batch_threads or 0)
    return ServerConfig(
        grpc=_grpc(flags),
        rest=RestConfig(
            timeout_s=flags.rest_api_timeout_in_ms / 1000,
            max_body_bytes=flags.max_body_bytes,
            cors=flags.rest_api_enable_cors_support,
            metrics_path=metrics_path(_path(flags.monitoring_config_file)),
        ),
        rest_api_port=flags.rest_api_port,
        bind_address=flags.bind_address.strip("[]"),
        model_config_file=_path(flags.model_config_file),
        model=model,
        config_poll_s=flags.model_config_file_poll_wait_seconds,
        file_system_poll_s=flags.file_system_poll_wait_seconds,
        drain_s=flags.drain_seconds,
        reload_timeout_s=flags.reload_timeout_seconds,
        loading=_loading(flags, batching, n_workers),
        limits=_limits(flags, n_workers, n_batch_threads or n_workers),
        check_methods=flags.enable_signature_method_name_check,
        as_content=flags.enable_serialization_as_tensor_content,
        request_log=log,
        n_processes=flags.num_processes,
        worker=WorkerConfig(Path(flags.worker_folder), flags.worker_index) if flags.worker_folder else None,
    )


def _limits(flags: argparse.Namespace, n_workers: int, n_batch_slots: int) -> LimitsConfig:
    return LimitsConfig(
        n_workers=n_workers,
        max_queued=flags.max_queued_calls,
        max_wait_s=flags.max_queue_seconds,
        max_concurrent=flags.max_concurrent_requests,
        n_batch_slots=n_batch_slots,
        refusals_per_s=flags.refusals_per_second,
    )


def _grpc(flags: argparse.Namespace) -> GrpcConfig:
    arguments = []
    for text in filter(None, flags.grpc_channel_arguments.split(",")):
        key, found, value = text.partition("=")
        if not found:
            raise invalid(f"--grpc_channel_arguments must be key=value by commas, found {text!r}")
        arguments.append((key, int(value) if value.lstrip("-").isdecimal() else value))
    return GrpcConfig(
        address=f"{host_of(flags.bind_address)}:{flags.port}",
        # A Unix socket cannot be shared: the first process has it.
        socket_path="" if flags.worker_index else flags.grpc_socket_path,
        ssl=read_ssl_config(Path(flags.ssl_config_file)) if flags.ssl_config_file else None,
        channel_arguments=tuple(arguments),
        health=flags.enable_grpc_healthcheck_service,
        share_port=bool(flags.worker_folder),
        max_message_bytes=flags.max_message_bytes,
        # Room for status and health, which are never too many.
        max_calls=flags.max_concurrent_requests + _SPARE_CALLS,
    )


def _loading(flags: argparse.Namespace, batching: BatchingConfig | None, n_workers: int) -> LoadingConfig:
    session_config = b""
    if flags.tensorflow_session_config_file:
        message = read_text_file(Path(flags.tensorflow_session_config_file), ConfigProto)
        session_config = bytes(message.SerializeToString())
    both = flags.tensorflow_session_parallelism
    intra, inter = flags.tensorflow_intra_op_parallelism, flags.tensorflow_inter_op_parallelism
    if min(both, intra, inter) > 0:
        raise invalid(
            "Either configure server_options.tensorflow_session_parallelism or (server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )
    backend = BackendConfig(
        prefer_tflite=flags.prefer_tflite_model,
        # One for each thread, and one for the event loop.
        n_interpreters=max(flags.num_tflite_pools, n_workers) + 1,
        intra_op_threads=intra or both or 1,
        inter_op_threads=inter or both or -1,
        saved_model_tags=tuple(flags.saved_model_tags.split(",")),
        session_config=session_config,
    )
    return LoadingConfig(
        backend=backend,
        admission=_admission(flags),
        n_threads=max(flags.num_load_threads, flags.num_unload_threads, 2),
        max_retries=flags.max_num_load_retries,
        retry_interval_s=flags.load_retry_interval_micros / 1e6,
        warm_up=flags.enable_model_warmup,
        n_warmup_iterations=max(1, flags.num_request_iterations_for_warmup),
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
        batching=batching,
        batching_per_model=flags.enable_per_model_batching_parameters,
    )


def _admission(flags: argparse.Namespace) -> AdmissionConfig:
    operations = allowed_operations()
    if flags.allowed_operations_file:
        try:
            operations = read_more_operations(Path(flags.allowed_operations_file))
        except (OSError, UnicodeDecodeError) as error:
            raise invalid(f"--allowed_operations_file must name a text file that can be read: {error}") from error
    key = read_public_key(Path(flags.signature_key_file)) if flags.signature_key_file else None
    return AdmissionConfig(flags.require_version_manifest, key, operations)


def _batching(flags: argparse.Namespace) -> tuple[BatchingConfig | None, int | None]:
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise invalid(
                "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
            )
        return None, None
    if not flags.batching_parameters_file:
        return BatchingConfig(), None
    config, n_threads = read_batching(Path(flags.batching_parameters_file))
    if not flags.enable_per_model_batching_parameters:
        config.require_consistent()
    return config, n_threads


def _require_honoured(flags: argparse.Namespace) -> None:
    for spec in OFFICIAL_FLAGS:
        if spec.refused is not None and getattr(flags, spec.name) != spec.default:
            raise invalid(f"--{spec.name} is not supported: {spec.refused}")


def _add(group: Any, spec: FlagSpec) -> None:
    text = f"{spec.help} (default: {spec.default!r})".replace("%", "%%")
    if isinstance(spec.default, bool):
        group.add_argument(f"--{spec.name}", type=_truth, nargs="?", const=True, default=spec.default, help=text)
    else:
        kind: Callable[[str], Any] = type(spec.default)
        # Seconds may be fractions here, which lets a test poll ten times a second.
        kind = float if spec.name.endswith("_seconds") else kind
        group.add_argument(f"--{spec.name}", type=kind, default=spec.default, help=text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"must be true or false, found {text!r}")
    return text.lower() in ("true", "1")


def _path(text: str) -> Path | None:
    return Path(text) if text else None
