"""Files in protobuf text format that the flags name."""

import logging
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from forecasting.wire.messages import BatchingParameters, MonitoringConfig, SSLConfig
from serving.model_server.batching import BatchingConfig
from serving.model_server.status import RequestError, StatusCode, invalid

logger = logging.getLogger(__name__)

DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"


def read_text_file(path: Path, message_class: Any) -> Any:
    """Read one message.

    Raises:
        RequestError: NOT_FOUND: there is no such file; INVALID_ARGUMENT: it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(StatusCode.NOT_FOUND, f"{path}; {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, message_class, error) from error
    try:
        return text_format.Parse(text, message_class())
    except text_format.ParseError as error:
        raise _unreadable(path, message_class, error) from error


def metrics_path(file: Path | None) -> str | None:
    """Path of the official metrics page, or none where `--monitoring_config_file` does not enable it.

    Raises:
        RequestError: The file cannot be used.
    """
    if file is None:
        return None
    found = read_text_file(file, MonitoringConfig).prometheus_config
    path = found.path or DEFAULT_METRICS_PATH
    if found.enable and not path.startswith("/"):
        raise invalid(f"{file}: the path of prometheus_config must begin with '/', found {path!r}")
    return path if found.enable else None


def read_ssl_config(file: Path) -> Any:
    """The SSLConfig message of `--ssl_config_file`.

    Raises:
        RequestError: The file cannot be used.
    """
    return read_text_file(file, SSLConfig)


def read_batching(file: Path) -> tuple[BatchingConfig, int | None]:
    """Batching parameters, and the number of batch threads where it is given.

    Raises:
        RequestError: The file cannot be used.
    """
    message = read_text_file(file, BatchingParameters)
    default = BatchingConfig()

    def value(name: str, otherwise: Any) -> Any:
        return getattr(message, name).value if message.HasField(name) else otherwise

    size = int(value("max_batch_size", default.max_batch_size))
    split = bool(value("enable_large_batch_splitting", False))
    config = BatchingConfig(
        max_batch_size=size,
        batch_timeout_s=value("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=int(value("max_enqueued_batches", default.max_enqueued_batches)),
        thread_pool_name=str(value("thread_pool_name", default.thread_pool_name)),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        split_large=split,
        max_execution_batch_size=int(value("max_execution_batch_size", size)) if split else size,
    )
    if not message.HasField("num_batch_threads"):
        return config, None
    n_threads = int(message.num_batch_threads.value)
    if n_threads < 1:
        raise invalid(f"num_batch_threads must be positive; was {n_threads}")
    return config, n_threads


def _unreadable(path: Path, message_class: Any, error: Exception) -> RequestError:
    name = message_class.DESCRIPTOR.full_name
    return invalid(f"Error parsing text-format {name}: {path}: {error}")
