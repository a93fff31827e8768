import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import RunningServerRecord, listening_process, model_server
from serving.launch import MONITORING_CONFIG
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models

START = 1_388_534_400  # 2014-01-01T00:00:00Z
LINE = {"http": re.compile(r"Gateway at (\S+)")}


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the tiny forecasters."""
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


@pytest.fixture(scope="module")
def lite_server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServerRecord]:
    """A server of the Lite model of factor 2 as version 7 of `tiny`."""
    base = tmp_path_factory.mktemp("lite")
    tiny_models.write_version(models, base / "7", factor=2, lite=True)
    flags = ["--model_name=tiny", f"--model_base_path={base}", "--prefer_tflite_model", "--max_num_load_retries=0"]
    flags += [f"--monitoring_config_file={MONITORING_CONFIG}", "--enable_grpc_healthcheck_service"]
    with model_server(flags, log=base / "log") as server:
        yield server


@pytest.fixture(scope="module")
def home(models, tmp_path_factory):
    """See `write_home`."""
    return write_home(models, tmp_path_factory.mktemp("home"))


def write_home(models: Path, root: Path) -> Path:
    """A repository whose champion is factor 2, and a store: 40 known targets, covariates for 48 hours.

    Series b lacks covariates from hour 41 on, c all, as a product of which nothing was planned.
    """
    clock = np.arange(48, dtype=np.float64)
    values = np.column_stack([np.where(clock < 40, 10 + clock % 4, np.nan), 20 + clock % 5])
    short = values.copy()
    short[41:, 1] = np.nan
    bare = values.copy()
    bare[:, 1] = np.nan
    spec = SeriesSpec(
        "Demand", (), ("Temperature",), (), {}, 3600, SplitSpec(START + 20 * 3600, START + 30 * 3600, START + 40 * 3600)
    )
    (root / "series").mkdir()
    rows = {"a": values, "b": short, "c": bare}
    store = SeriesStore(spec, tuple(Series(name, START, found) for name, found in rows.items()))
    write_series_store(store, root / "series")
    repository = ModelRepository(root / "models")
    version = tiny_models.write_version(models, root / "version", factor=2, lite=True)
    repository.promote("tiny", repository.publish("tiny", version))
    repository.keep_series("tiny", 1, root / "series")
    return root


@pytest.fixture(scope="module")
def gateway_addresses(home):
    """Addresses of a gateway in front of a server, by name: http, grpc."""
    config = ModelRepository(home / "models").server_config
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=home / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", "--grpc-port=0", "--max-body-bytes=1000000"]
        lines = {**LINE, "grpc": re.compile(r"Gateway gRPC at (\S+)")}
        with listening_process(command, lines, log=home / "gateway.log") as (_, addresses):
            yield addresses


@pytest.fixture(scope="module")
def address(gateway_addresses):
    """Address of the gateway's HTTP."""
    return gateway_addresses["http"]
