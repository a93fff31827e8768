"""`python -m serving.gateway`."""

import argparse
import asyncio
import functools
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvloop
from pydantic import ValidationError

from forecasting.admission.provenance import ProvenanceConfig, admit_files
from forecasting.admission.signing import read_public_key
from forecasting.answering.served_model import ServedModel
from forecasting.answering.version_series import load_served_model
from forecasting.config.candidate import CandidateConfig
from forecasting.config.retraining import RetrainingConfig
from forecasting.config.section import Section
from forecasting.config.store import StoreConfig
from forecasting.contracts.ports import GATEWAY_PORT, GRPC_PORT
from forecasting.errors import AlmanacError, ConfigError
from forecasting.repository import ModelRepository
from serving.asgi import HttpServer, TlsFiles
from serving.gateway.app import GatewayApp
from serving.gateway.candidate_judge import CandidateJudge
from serving.gateway.candidate_traffic import CandidateTraffic
from serving.gateway.forecaster import Forecaster
from serving.gateway.gateway_store import DEFAULT_STORE, NOT_SET, GatewayStore, open_gateway_store
from serving.gateway.guard import MAX_BODY_BYTES, Guard, RateLimit, is_loopback, require_guarded
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.model_loader import ModelLoader, RolesWatch
from serving.gateway.pages import StatePages
from serving.gateway.request_log import log_as_json
from serving.gateway.retraining import RetrainAsker
from serving.gateway.rpc.service import ForecastService, GatewayRpcServer
from serving.gateway.tokens import TokenSource

SectionT = TypeVar("SectionT", bound=Section)

DRAIN_S = 30.0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.gateway", allow_abbrev=False, description="HTTP gateway of one model."
    )
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--models-dir", type=Path, required=True, help="model repository")
    parser.add_argument(
        "--series-dir",
        type=Path,
        help="series store with the history; left out: the one kept with the champion",
    )
    parser.add_argument("--grpc", default=f"127.0.0.1:{GRPC_PORT}", help="gRPC address of the model server")
    parser.add_argument("--bind-address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=GATEWAY_PORT, help="HTTP port; 0: any free one")
    parser.add_argument("--grpc-port", type=int, help="port of the gateway's own gRPC; 0: any free one; left out: none")
    parser.add_argument("--timeout-s", type=float, default=10.0, help="longest wait for the model server")
    parser.add_argument(
        "--fallback",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="answer by a seasonal naive forecast, marked, where the model cannot be asked",
    )
    parser.add_argument("--max-body-bytes", type=int, default=MAX_BODY_BYTES, help="largest request body")
    parser.add_argument("--tokens", type=Path, help="file of tokens; left out: the lines of $ALMANAC_TOKENS, if any")
    parser.add_argument("--open", action="store_true", help="listen beyond this machine without tokens")
    parser.add_argument("--tls-certificate", type=Path, help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, help="its key (PEM)")
    parser.add_argument("--signature-key-file", type=Path, help="public key (PEM) that must have signed every version")
    parser.add_argument("--rate-limit", type=float, help="requests a second of one client; left out: no limit")
    parser.add_argument("--max-in-flight", type=int, default=256, help="requests answered at the same time")
    parser.add_argument("--candidate", default="{}", help="gateway.candidate of a configuration, as JSON")
    parser.add_argument("--retraining", default="{}", help="retraining of a configuration, as JSON")
    parser.add_argument(
        "--store",
        help="database of forecasts and observations, as store.url of a configuration, or 'default'; left out: none",
    )
    for name, setting in StoreConfig.model_fields.items():
        if name != "url":
            default = NOT_SET if setting.default is None else setting.default
            text = f"as store.{name} of a configuration (default: {default})"
            parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=text)
    return parser


@dataclass(frozen=True)
class _GatewayParts:
    """What a gateway is made of; none: it has no such part."""

    server: HttpServer
    rpc: GatewayRpcServer | None
    pages: StatePages
    judge: CandidateJudge | None
    traffic: CandidateTraffic
    forecaster: Forecaster
    store: GatewayStore | None


async def serve_gateway(flags: argparse.Namespace, *, clock: Callable[[], float] = time.time) -> None:
    """Listen until SIGTERM or SIGINT, then finish what is in flight.

    Args:
        flags: Of `build_parser`.
        clock: Epoch seconds, for what is kept in the store: forecasts, observations, requests.

    Raises:
        ConfigError: The port is taken, the tokens or the certificate cannot be read, or there are no tokens where
            others can reach the address.
    """
    parts = _make_parts(flags, clock)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    judging = None if parts.judge is None else asyncio.create_task(parts.judge.run())
    await parts.server.start()
    sys.stdout.write(f"Gateway at {flags.bind_address}:{parts.server.port}\n")
    if parts.rpc is not None:
        await parts.rpc.start()
        sys.stdout.write(f"Gateway gRPC at {flags.bind_address}:{parts.rpc.port}\n")
    sys.stdout.flush()
    await stop.wait()
    parts.pages.draining = True
    await asyncio.gather(parts.server.stop(), *([] if parts.rpc is None else [parts.rpc.stop(DRAIN_S)]))
    if judging is not None:
        judging.cancel()
    await parts.traffic.close()
    await parts.forecaster.close()
    if parts.store is not None:
        await parts.store.close()


def _make_parts(flags: argparse.Namespace, clock: Callable[[], float]) -> _GatewayParts:
    """Make all parts; the port of gRPC is bound, and nothing listens for HTTP yet."""
    guard = _make_guard(flags)
    repository = ModelRepository(flags.models_dir)
    versions = RolesWatch(repository, flags.model)
    metrics, store = GatewayMetrics(flags.model), _open_store(flags, clock)
    forecaster = _make_forecaster(flags, repository, versions, metrics=metrics, store=store)
    settings = _json_settings(CandidateConfig, "--candidate", flags.candidate)
    judge = _make_judge(settings, forecaster, repository, versions, metrics=metrics, store=store)
    watch = None if judge is None else judge.watch
    traffic = CandidateTraffic(forecaster, settings, metrics, store=store, watch=watch)
    pages = StatePages(forecaster, repository, metrics, store=store)
    app = GatewayApp(
        forecaster, pages, metrics, guard, max_body_bytes=flags.max_body_bytes, traffic=traffic, store=store,
        retraining=_make_asker(flags, metrics, store, clock),
    )  # fmt: skip
    tls = TlsFiles(flags.tls_certificate, flags.tls_key) if flags.tls_certificate else None
    server = HttpServer(app, flags.bind_address, flags.port, drain_s=DRAIN_S, tls=tls)
    rpc = None
    if flags.grpc_port is not None:
        service = ForecastService(forecaster, metrics, guard, traffic=traffic, store=store)
        address = f"{flags.bind_address}:{flags.grpc_port}"
        rpc = GatewayRpcServer(service, address, tls=tls, max_bytes=flags.max_body_bytes)
    return _GatewayParts(server, rpc, pages, judge, traffic, forecaster, store)


def _make_guard(flags: argparse.Namespace) -> Guard:
    tokens = TokenSource(flags.tokens)
    require_guarded(flags.bind_address, has_tokens=not tokens.is_open, is_open=flags.open)
    rate = None if flags.rate_limit is None else RateLimit(flags.rate_limit)
    is_local = is_loopback(flags.bind_address) and not flags.open
    return Guard(
        tokens, rate=rate, max_in_flight=flags.max_in_flight, is_local=is_local, max_body_bytes=flags.max_body_bytes
    )


def _make_forecaster(
    flags: argparse.Namespace, repository: ModelRepository, versions: RolesWatch, *, metrics: GatewayMetrics,
    store: GatewayStore | None,
) -> Forecaster:  # fmt: skip
    key = None if flags.signature_key_file is None else read_public_key(flags.signature_key_file)
    admission = ProvenanceConfig(public_key=key)
    read = functools.partial(load_served_model, repository, flags.model, series_dir=flags.series_dir)

    def load(version: int) -> ServedModel:
        folder = repository.version_dir(flags.model, version)
        admit_files(folder, admission, subject=f"{flags.model}/{version}")
        return read(version)

    models = ModelLoader(metrics.state.measured(flags.model, load), versions)
    return Forecaster(
        flags.model, repository, models, flags.grpc, timeout_s=flags.timeout_s, has_fallback=flags.fallback,
        count=functools.partial(metrics.count_degraded, flags.model),
        count_invalid=functools.partial(metrics.count_invalid, flags.model),
        observed=None if store is None else store.observed,
    )  # fmt: skip


def _make_judge(
    settings: CandidateConfig, forecaster: Forecaster, repository: ModelRepository, versions: RolesWatch, *,
    metrics: GatewayMetrics, store: GatewayStore | None,
) -> CandidateJudge | None:  # fmt: skip
    if settings.judgement is None:
        return None
    if store is None and settings.judgement.max_live_error_ratio is not None:
        raise ConfigError(
            "--candidate: judgement.max_live_error_ratio needs actuals, which are in --store; found no --store"
        )
    opened = None if store is None else store.store
    threads = None if store is None else store.threads
    return CandidateJudge(
        settings.judgement, repository, versions, metrics, forecaster=forecaster, store=opened, threads=threads
    )


def _make_asker(
    flags: argparse.Namespace, metrics: GatewayMetrics, store: GatewayStore | None, clock: Callable[[], float]
) -> RetrainAsker | None:
    settings = _json_settings(RetrainingConfig, "--retraining", flags.retraining)
    if store is None:
        return None
    return RetrainAsker(
        store.store, flags.model, settings, count=functools.partial(metrics.count_retrain_asked, flags.model),
        threads=store.threads, clock=clock,
    )  # fmt: skip


def _json_settings(section: type[SectionT], flag: str, text: str) -> SectionT:
    try:
        return section.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{flag}: {where}: {problem['msg']}, found {problem['input']!r}") from error


def _open_store(flags: argparse.Namespace, clock: Callable[[], float]) -> GatewayStore | None:
    if flags.store is None:
        return None
    url = None if flags.store == DEFAULT_STORE else flags.store
    given = {name: getattr(flags, name) for name in StoreConfig.model_fields if name != "url"}
    fields = {name: None if value == NOT_SET else value for name, value in given.items()}
    try:
        settings = StoreConfig.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(
            f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}, found {problem['input']!r}"
        ) from error
    return open_gateway_store(url, flags.models_dir.parent, flags.model, settings, clock=clock)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway; exit code 0 after SIGTERM."""
    flags = build_parser().parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_gateway(flags))
    except AlmanacError as error:
        sys.stderr.write(f"the gateway cannot start: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    # Of the process, not of who calls `main`: the log of all its libraries changes its form.
    log_as_json()
    sys.exit(main())
