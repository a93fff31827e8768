"""The pipeline forecast_batch by the local runner of Kubeflow Pipelines, by the interpreter of Argo's resources, and the command beside it."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.contract.argo_interpreter import ArgoInterpreter
from tests.unit.batch.homes import CUTOFF, make_batch_home
from tests.unit.serving import tiny_models

pytestmark = pytest.mark.slow

FILE = "tiny-20140102T180000Z-v1.parquet"
PROGRAM = """
import sys
from pathlib import Path
from kfp import local
from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from pipelines.batch_graph import build_batch_pipeline
from pipelines.run import step_environment

home, to, cutoff = sys.argv[1:]
with step_environment(home_layout(home)):
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=f"{home}/kfp")
    pipeline = build_batch_pipeline(load_config(Path(home) / "tiny.yaml"))
    for attempt in range(2):
        task = pipeline(home=home, to=to, cutoff=cutoff)
"""


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tiny_models.build(request.config.cache.mkdir("tiny-models"))
    return make_batch_home(models, tmp_path_factory.mktemp("graph"))


def test_the_graph_makes_the_batch_that_the_command_makes_and_makes_it_once(home, tmp_path):
    command = [sys.executable, "-m", "pipelines.cli", "--home", home, "forecast", "-c", home / "tiny.yaml"]
    done = subprocess.run([*command, "--batch", tmp_path / "by-command", "--cutoff", CUTOFF], capture_output=True)
    assert done.returncode == 0, done.stderr
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, home, tmp_path / "by-graph", CUTOFF], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found = pq.read_table(tmp_path / "by-graph" / FILE)
    assert found.to_pylist() == pq.read_table(tmp_path / "by-command" / FILE).to_pylist()
    records = sorted(path.read_text() for path in (home / "kfp").glob("*/forecast-batch/output"))
    assert [('"is_new": true' in text, '"n_degraded": 2' in text) for text in records] == [(False, False), (True, True)]


def test_argo_makes_the_batch_that_the_command_makes_and_makes_it_once(home, tmp_path):
    almanac = [sys.executable, "-m", "pipelines.cli", "--home", home]
    command = [*almanac, "forecast", "-c", home / "tiny.yaml", "--batch", tmp_path / "by-command", "--cutoff", CUTOFF]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr
    text = tmp_path / "argo.yaml"
    compiling = [*almanac, "compile", "-c", home / "tiny.yaml", "--pipeline", "forecast_batch", "--format", "argo"]
    done = subprocess.run(
        [*compiling, "--allow-tags", "--set", f"cluster.home={home}", "--set", "batch.to=by-argo", "-o", text],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(text.read_text()))
    config, scratch = tmp_path / "etc", tmp_path / "scratch"
    config.mkdir(), scratch.mkdir()
    (config / "config.yaml").write_text(documents[0]["data"]["config.yaml"])
    mounts = {str(home): home, "/etc/almanac": config, "/tmp": scratch}
    argo = ArgoInterpreter(documents, "batch-1", mounts, {}, {"cutoff": CUTOFF})
    assert argo.run() == "Succeeded"
    found = home / "by-argo" / FILE
    assert pq.read_table(found).to_pylist() == pq.read_table(tmp_path / "by-command" / FILE).to_pylist()
    written = found.stat().st_mtime_ns
    assert argo.run() == "Succeeded"
    assert found.stat().st_mtime_ns == written
    assert argo.attempts == {"forecast-batch": [0, 0]}
