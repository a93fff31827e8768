"""Start the model server and the gateway as processes and keep them until SIGTERM."""

import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from forecasting.config.gateway import GatewayConfig
from forecasting.config.retraining import RetrainingConfig
from forecasting.config.sections import ServingConfig
from forecasting.config.store import StoreConfig
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ConfigError, RemoteError, RetryableError
from forecasting.missing_champion import missing_champion
from forecasting.repository import ModelRepository
from forecasting.stopping import stopped_by_signals
from forecasting.wire.server_process import RunningServerRecord, listening_process, model_server
from serving.gateway.answers import READY
from serving.gateway.gateway_store import DEFAULT_STORE, NOT_SET
from serving.gateway.guard import require_guarded
from serving.gateway.tokens import TokenSource

GATEWAY_MODULE = "serving.gateway"
_GATEWAY_LINE = re.compile(r"Gateway at (\S+)")
_GATEWAY_RPC_LINE = re.compile(r"Gateway gRPC at (\S+)")
MONITORING_CONFIG = Path(__file__).with_name("monitoring.config")
READY_S = 120.0
LOOK_S = 0.2
SETTLED_S = 5.0
MAX_SHORT_LIVES = 3
"""So many model servers in a row that ran for less than SETTLED_S end for a reason that stays: no other is started."""


def serve(
    models_dir: Path,
    model: str,
    series_dir: Path | None,
    serving: ServingConfig,
    gateway: GatewayConfig | None = None,
    store: StoreConfig | None = None,
    retraining: RetrainingConfig | None = None,
) -> int:
    """Serve the champion of a model until SIGTERM or ^C; prints the ports and a line when ready.

    With `serving.fallback` a model server that ends by itself is started again at the same ports, while the
    gateway answers by the fallback; where three in a row end soon after their start, it is given up.

    Args:
        models_dir: Model repository.
        model: Model name.
        series_dir: Series store for the gateway; none for the one kept with the champion.
        serving: Addresses and ports.
        gateway: Who may ask it; none: the defaults.
        store: Where forecasts and observations are kept; none: they are not.
        retraining: What holds back alerts that ask for a run; none: the defaults.

    Returns:
        0 after SIGTERM or ^C, 5 where one of the two processes ended by itself and was not started again.

    Raises:
        ConfigError: The model has no champion, or the champion no series store; or the gateway has no tokens where others
            can reach it.
        RemoteError: A process does not start, for example because its port is taken.
        RetryableError: The champion is not available in time.
    """
    settings, repository = gateway or GatewayConfig(), ModelRepository(models_dir)
    version = _servable(repository, model, serving, settings, has_own_series=series_dir is not None)
    logs = models_dir.parent / "logs"
    stop = threading.Event()
    with stopped_by_signals(stop), ExitStack() as servers:
        server = servers.enter_context(_running_server(repository, serving, logs))
        command = _gateway_command(models_dir, model, series_dir, server.grpc_address)
        command += [*_gateway_flags(serving, settings), *_store_flags(store)]
        command += [] if retraining is None else [f"--retraining={retraining.model_dump_json()}"]
        lines = {"http": _GATEWAY_LINE} | ({} if settings.grpc_port is None else {"grpc": _GATEWAY_RPC_LINE})
        with listening_process(command, lines, log=logs / "gateway.log") as (process, addresses):
            endpoint = f"{'https' if settings.tls_certificate else 'http'}://{addresses['http']}"
            print(f"gRPC     {server.grpc_address}", f"REST     http://{server.rest_address}", sep="\n")
            rpc = (f"gateway  gRPC {addresses['grpc']}",) if "grpc" in addresses else ()
            print(f"gateway  {endpoint}", *rpc, sep="\n", flush=True)
            _wait_ready(endpoint, server, process, stop)
            if not stop.is_set():
                print(f"ready: {model} version {version}; logs in {logs}", flush=True)
            return _keep(
                stop,
                server,
                process,
                lambda same: servers.enter_context(_running_server(repository, same, logs)),
                serving,
            )


def _servable(
    repository: ModelRepository, model: str, serving: ServingConfig, gateway: GatewayConfig, *, has_own_series: bool
) -> int:
    """The champion, with all that serving it needs.

    Raises:
        ConfigError: Something is missing.
    """
    tokens = TokenSource(Path(gateway.tokens) if gateway.tokens else None)
    require_guarded(gateway.bind_address or serving.bind_address, has_tokens=not tokens.is_open, is_open=gateway.open)
    version = repository.role(model, ModelRole.CHAMPION)
    if version is None:
        raise ConfigError(missing_champion(repository, model))
    if not has_own_series:
        repository.require_series(model, version)
    return version


def _gateway_command(models_dir: Path, model: str, series_dir: Path | None, grpc_address: str) -> list[str]:
    command = [
        sys.executable,
        "-m",
        GATEWAY_MODULE,
        f"--model={model}",
        f"--models-dir={models_dir}",
        f"--grpc={grpc_address}",
    ]
    return [*command, f"--series-dir={series_dir}"] if series_dir is not None else command


def _gateway_flags(serving: ServingConfig, gateway: GatewayConfig) -> list[str]:
    flags = [f"--port={serving.gateway_port}", f"--bind-address={gateway.bind_address or serving.bind_address}"]
    flags += [f"--max-body-bytes={int(gateway.max_body_mib * 2**20)}", f"--max-in-flight={gateway.max_in_flight}"]
    flags += [] if serving.fallback else ["--no-fallback"]
    flags += ["--open"] if gateway.open else []
    flags += [f"--candidate={gateway.candidate.model_dump_json()}"]
    given = {
        "--grpc-port": gateway.grpc_port,
        "--tokens": gateway.tokens,
        "--tls-certificate": gateway.tls_certificate,
        "--tls-key": gateway.tls_key,
        "--rate-limit": gateway.rate_limit,
        "--signature-key-file": serving.signature_key_file,
    }
    return [*flags, *(f"{name}={value}" for name, value in given.items() if value is not None)]


def _store_flags(store: StoreConfig | None) -> list[str]:
    """The address goes as it is written, so that no secret stands in the command line."""
    if store is None:
        return []
    fields = store.model_dump(exclude={"url"})
    flags = [f"--{name.replace('_', '-')}={NOT_SET if value is None else value}" for name, value in fields.items()]
    return [f"--store={store.url or DEFAULT_STORE}", *flags]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


@contextmanager
def _running_server(repository: ModelRepository, serving: ServingConfig, logs: Path) -> Iterator[RunningServerRecord]:
    flags = [
        f"--port={serving.grpc_port}",
        f"--rest_api_port={serving.rest_port}",
        f"--bind_address={serving.bind_address}",
        # Written anew, which also repairs a pin that a crash left behind its role.
        f"--model_config_file={repository.write_server_config()}",
        "--model_config_file_poll_wait_seconds=1",
        f"--monitoring_config_file={MONITORING_CONFIG}",
        "--prefer_tflite_model",
    ]
    if serving.signature_key_file is not None:
        flags.append(f"--signature_key_file={serving.signature_key_file}")
    with model_server(flags, log=logs / "model_server.log") as server:
        yield server


def _wait_ready(
    endpoint: str, server: RunningServerRecord, gateway: subprocess.Popen[str], stop: threading.Event
) -> None:
    deadline, last = time.monotonic() + READY_S, "no answer"
    # Its own gateway, on a port that it was just told: the certificate names the host that clients use.
    trusting = ssl._create_unverified_context() if endpoint.startswith("https") else None  # noqa: SLF001  # nosec B323 # its own gateway on this machine
    while not stop.is_set():
        server.require_alive()
        if gateway.poll() is not None:
            raise RemoteError(f"the gateway ended with code {gateway.returncode}; see its log")
        try:
            with urllib.request.urlopen(f"{endpoint}/readyz", timeout=5, context=trusting) as response:  # nosec B310 # likewise, http or https
                last = response.read().decode("utf-8", "replace").strip()
            if last == READY:
                return
        except urllib.error.HTTPError as error:
            last = error.read().decode("utf-8", "replace")
        except OSError as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise RetryableError(f"the gateway must be ready within {READY_S:g} s; it says: {last}")
        stop.wait(LOOK_S)


def _keep(
    stop: threading.Event,
    server: RunningServerRecord,
    gateway: subprocess.Popen[str],
    start: Callable[[ServingConfig], RunningServerRecord],
    serving: ServingConfig,
) -> int:
    """Start model servers one after another, until one of the processes is given up or the end is asked for; the exit code."""
    ports = {"grpc_port": _port(server.grpc_address), "rest_port": _port(server.rest_address)}
    same, n_short = serving.model_copy(update=ports), 0
    while True:
        begun = time.monotonic()
        if (code := _first_end(stop, server.process, gateway)) is not None:
            return code
        n_short = n_short + 1 if time.monotonic() - begun < SETTLED_S else 0
        if not serving.fallback or n_short == MAX_SHORT_LIVES:
            return _give_up("model server", server.process.returncode)
        line = f"the model server ended by itself with code {server.process.returncode}; the fallback answers until it is back"
        print(line, file=sys.stderr, flush=True)
        server = start(same)
        print("the model server is started again", file=sys.stderr, flush=True)


def _first_end(stop: threading.Event, server: subprocess.Popen[str], gateway: subprocess.Popen[str]) -> int | None:
    """Wait for the end of a process, or until it is asked for; the exit code, or none where the model server ended."""
    while not stop.wait(LOOK_S):
        if gateway.poll() is not None:
            return _give_up("gateway", gateway.returncode)
        if server.poll() is not None:
            return None
    return int(ExitCode.DONE)


def _give_up(name: str, code: int) -> int:
    print(f"the {name} ended by itself with code {code}; stopping", file=sys.stderr, flush=True)
    return int(ExitCode.REMOTE)
