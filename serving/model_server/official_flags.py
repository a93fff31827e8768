"""The flags of tensorflow_model_server, with its names and defaults (model_servers/main.cc and server.h).

What this server does not have is refused when it is asked for, and accepted at its default.
"""

import os
from dataclasses import dataclass
from typing import Any


def _schedulable_cpus() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class FlagSpec:
    """One flag."""

    name: str
    default: Any
    help: str
    honoured: bool = True
    """Whether this server does what the flag says, or only accepts it because it changes nothing a client sees."""
    refused: str | None = None
    """Why any other value than the default is refused."""


_NO_PLATFORM = "only SavedModels and TensorFlow Lite models on processors are served here"

OFFICIAL_FLAGS = (
    FlagSpec("port", 8500, "TCP port for gRPC; 0: any free one, which is then said"),
    FlagSpec("grpc_socket_path", "", "Unix socket on which gRPC listens as well"),
    FlagSpec("rest_api_port", 0, "TCP port for HTTP; left out: no HTTP; 0 given: any free one, which is then said"),
    FlagSpec("rest_api_num_threads", 4 * _schedulable_cpus(), "accepted: one event loop reads HTTP", honoured=False),
    FlagSpec("rest_api_timeout_in_ms", 30000, "longest time for one HTTP request"),
    FlagSpec("rest_api_enable_cors_support", False, "CORS headers in HTTP responses"),
    FlagSpec("enable_batching", False, "collect requests into batches"),
    FlagSpec(
        "allow_version_labels_for_unavailable_models", False, "let new labels point to versions that are not loaded yet"
    ),
    FlagSpec("batching_parameters_file", "", "BatchingParameters in protobuf text format"),
    FlagSpec("enable_per_model_batching_parameters", False, "read batching_params.pbtxt of each version instead"),
    FlagSpec("model_config_file", "", "ModelServerConfig in protobuf text format"),
    FlagSpec("model_config_file_poll_wait_seconds", 0, "read it anew this often; 0: never"),
    FlagSpec("model_name", "default", "name of the model; ignored with --model_config_file"),
    FlagSpec("model_base_path", "", "folder with version directories; ignored with --model_config_file"),
    FlagSpec("num_load_threads", 0, "threads that load versions"),
    FlagSpec("num_unload_threads", 0, "accepted: the loading threads unload", honoured=False),
    FlagSpec("max_num_load_retries", 5, "how often a version that fails to load is tried again"),
    FlagSpec("load_retry_interval_micros", 60_000_000, "time between these attempts; negative: none"),
    FlagSpec("file_system_poll_wait_seconds", 1, "look for versions this often; 0: once; negative: never"),
    FlagSpec("flush_filesystem_caches", True, "accepted: the system's file cache is left alone", honoured=False),
    FlagSpec("tensorflow_session_parallelism", 0, "threads within and between operations; 0: see docs/model-server.md"),
    FlagSpec("tensorflow_session_config_file", "", "ConfigProto in protobuf text format"),
    FlagSpec("tensorflow_intra_op_parallelism", 0, "threads within one operation; 0: one"),
    FlagSpec("tensorflow_inter_op_parallelism", 0, "operations at the same time; 0: one, in the thread of the request"),
    FlagSpec(
        "use_alts_credentials", False, "ALTS", refused="ALTS works on Google's network alone; use --ssl_config_file"
    ),
    FlagSpec("ssl_config_file", "", "SSLConfig in protobuf text format, for TLS and mutual TLS on gRPC"),
    FlagSpec("platform_config_file", "", "PlatformConfigMap", refused=_NO_PLATFORM),
    FlagSpec("per_process_gpu_memory_fraction", 0.0, "share of a GPU's memory", refused=_NO_PLATFORM),
    FlagSpec("saved_model_tags", "serve", "tags of the meta graph to load, by commas"),
    FlagSpec("grpc_channel_arguments", "", "arguments for the gRPC server, key=value by commas"),
    FlagSpec("grpc_max_threads", 4 * _schedulable_cpus(), "accepted: one event loop reads gRPC", honoured=False),
    FlagSpec("enable_model_warmup", True, "replay assets.extra/tf_serving_warmup_requests before a version is served"),
    FlagSpec("num_request_iterations_for_warmup", 0, "how often each record is replayed; 0: once"),
    FlagSpec("version", False, "say the versions and end"),
    FlagSpec("monitoring_config_file", "", "MonitoringConfig in protobuf text format"),
    FlagSpec(
        "remove_unused_fields_from_bundle_metagraph", True, "accepted: nothing of the graph is kept", honoured=False
    ),
    FlagSpec("prefer_tflite_model", False, "serve model.tflite where a version has one"),
    FlagSpec("num_tflite_pools", _schedulable_cpus(), "interpreters a TensorFlow Lite version may have"),
    FlagSpec(
        "num_tflite_interpreters_per_pool", 1, "interpreters that share a batch", refused="use --num_tflite_pools"
    ),
    FlagSpec("enable_signature_method_name_check", False, "check that a signature has the method it is asked for"),
    FlagSpec(
        "xla_cpu_compilation_enabled", False, "XLA for processors", refused="XLA is not switched from outside a model"
    ),
    FlagSpec("xla_gpu_compilation_enabled", False, "XLA for GPUs", refused=_NO_PLATFORM),
    FlagSpec("enable_profiler", True, "accepted: there is no profiler service", honoured=False),
    FlagSpec("thread_pool_factory_config_file", "", "custom thread pools", refused="there are no custom thread pools"),
    FlagSpec(
        "mixed_precision", "", "mixed precision", refused="models run in the precision that they were exported in"
    ),
    FlagSpec("skip_initialize_tpu", False, "accepted: there is no TPU", honoured=False),
    FlagSpec("enable_grpc_healthcheck_service", False, "grpc.health.v1.Health"),
    FlagSpec("enable_serialization_as_tensor_content", False, "answer Predict with tensor_content"),
)
