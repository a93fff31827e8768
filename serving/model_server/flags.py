"""Command line of the model server: TensorFlow Serving's names and defaults; ours are listed apart."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forecasting.contracts.ports import GRPC_PORT
from serving.model_server.model_specs import ServedModelSpec, read_model_config
from serving.model_server.servables import LoadingConfig


@dataclass(frozen=True)
class ServerConfig:
    """Resolved flags."""

    port: int
    rest_api_port: int | None
    bind_address: str
    model_config_file: Path | None
    model: ServedModelSpec | None
    config_poll_s: float
    file_system_poll_s: float
    rest_timeout_s: float
    max_body_bytes: int
    drain_s: float
    loading: LoadingConfig

    def specs(self) -> tuple[ServedModelSpec, ...]:
        """The models to serve, read anew from the configuration file where there is one.

        Raises:
            ConfigError: The file cannot be used.
        """
        if self.model_config_file is not None:
            return read_model_config(self.model_config_file)
        return (self.model,) if self.model is not None else ()


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"must be true or false, found {text!r}")
    return text.lower() in ("true", "1")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    parser = argparse.ArgumentParser(prog="python -m serving.model_server", allow_abbrev=False, description=__doc__)
    official = parser.add_argument_group("flags of tensorflow_model_server")
    official.add_argument("--port", type=int, default=GRPC_PORT, help="gRPC port; 0: any free one")
    official.add_argument("--rest_api_port", type=int, help="HTTP port; 0: any free one; left out: no HTTP")
    official.add_argument("--model_name", default="default", help="name of the model; ignored with --model_config_file")
    official.add_argument("--model_base_path", type=Path, help="folder with version directories")
    official.add_argument("--model_config_file", type=Path, help="ModelServerConfig in protobuf text format")
    official.add_argument(
        "--model_config_file_poll_wait_seconds", type=float, default=0.0, help="read it anew this often; 0: never"
    )
    official.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="look for versions this often; 0: once; negative: never",
    )
    official.add_argument(
        "--prefer_tflite_model",
        type=_truth,
        nargs="?",
        const=True,
        default=False,
        help="serve model.tflite where a version has one",
    )
    official.add_argument(
        "--max_num_load_retries", type=int, default=5, help="how often a version that fails to load is tried again"
    )
    official.add_argument(
        "--load_retry_interval_micros", type=int, default=60_000_000, help="time between these attempts"
    )
    official.add_argument(
        "--rest_api_timeout_in_ms", type=int, default=30_000, help="longest time for one HTTP request"
    )
    official.add_argument("--tensorflow_intra_op_parallelism", type=int, default=1, help="threads within one operation")
    own = parser.add_argument_group("our own flags")
    own.add_argument("--bind_address", default="127.0.0.1", help="address both ports listen on")
    own.add_argument("--n_worker_threads", type=int, default=4, help="model calls at the same time")
    own.add_argument("--max_body_bytes", type=int, default=64 * 2**20, help="largest HTTP body")
    own.add_argument("--drain_seconds", type=float, default=30.0, help="time for requests in flight after SIGTERM")
    return parser


def parse_flags(arguments: Sequence[str]) -> ServerConfig:
    """Read the command line; on a mistake the process ends with code 2 and a line that names it."""
    parser = build_parser()
    flags = parser.parse_args(arguments)
    if flags.model_config_file is None and flags.model_base_path is None:
        parser.error("one of --model_base_path and --model_config_file must be given")
    model = None
    if flags.model_config_file is None:
        model = ServedModelSpec(flags.model_name, flags.model_base_path.resolve())
    return ServerConfig(
        port=flags.port,
        rest_api_port=flags.rest_api_port,
        bind_address=flags.bind_address,
        model_config_file=flags.model_config_file,
        model=model,
        config_poll_s=flags.model_config_file_poll_wait_seconds,
        file_system_poll_s=flags.file_system_poll_wait_seconds,
        rest_timeout_s=flags.rest_api_timeout_in_ms / 1000,
        max_body_bytes=flags.max_body_bytes,
        drain_s=flags.drain_seconds,
        loading=LoadingConfig(
            prefer_tflite=flags.prefer_tflite_model,
            threads=flags.tensorflow_intra_op_parallelism,
            n_workers=flags.n_worker_threads,
            max_retries=flags.max_num_load_retries,
            retry_interval_s=flags.load_retry_interval_micros / 1e6,
        ),
    )
