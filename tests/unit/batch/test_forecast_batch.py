"""A batch as the component of a pipeline makes it."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.batch.forecast_batch import forecast_batch_component
from forecasting.contracts.codes import ExitCode
from tests.unit.batch.homes import CUTOFF, make_batch_home

FILE = "tiny-20140102T180000Z-v1.parquet"


class Artifact:
    """An output of Kubeflow Pipelines."""

    def __init__(self, path: Path) -> None:
        self.uri, self.path, self.metadata = str(path), str(path), {}


@pytest.fixture(scope="module")
def home(models, tmp_path_factory):
    return make_batch_home(models, tmp_path_factory.mktemp("component"))


SETTINGS = '{"name": "tiny", "serving": {}, "store": {}}'
RUN = {"run": "0b1c", "retries": 0}


def test_a_component_makes_the_batch_and_tells_what_it_came_to(home, tmp_path):
    output, metrics = Artifact(tmp_path / "task/output"), Artifact(tmp_path / "task/metrics")
    options = {"home": str(home), "cutoff": CUTOFF, "version": 0, **RUN, "output": output, "metrics": metrics}
    forecast_batch_component(SETTINGS, str(tmp_path / "out"), **options)
    assert set(pq.read_table(tmp_path / "out" / FILE).column("series").to_pylist()) == {"a", "b", "c", "e"}
    record = json.loads(Path(output.path).read_text())
    assert (record["version"], record["cutoff"], record["is_new"], record["n_degraded"]) == (1, CUTOFF, True, 2)
    assert metrics.metadata == {"series": 4, "degraded": 2, "skipped": 1, "is_new": 1.0}
    forecast_batch_component(SETTINGS, str(tmp_path / "out"), **options)
    assert json.loads(Path(output.path).read_text())["is_new"] is False


def test_a_relative_folder_lies_in_the_state_directory(home, tmp_path):
    output, metrics = Artifact(tmp_path / "output"), Artifact(tmp_path / "metrics")
    forecast_batch_component(
        SETTINGS, "daily", home=str(home), cutoff=CUTOFF, version=2, **RUN, output=output, metrics=metrics
    )
    assert [path.name for path in (home / "daily").iterdir()] == ["tiny-20140102T180000Z-v2.parquet"]


@pytest.mark.parametrize(
    ("settings", "version", "message"),
    [
        (SETTINGS, 9, "must have the version that is asked for, found [1, 2] and not 9"),
        (SETTINGS.replace("tiny", "other"), 0, "model 'other' has no champion"),
        ('{"name": "tiny"}', 0, "the settings of forecast_batch do not fit this version"),
    ],
)
def test_a_component_that_cannot_make_it_ends_with_the_exit_code_and_one_line(
    home, tmp_path, capsys, settings, version, message
):
    artifacts = {name: Artifact(tmp_path / name) for name in ("output", "metrics")}
    with pytest.raises(SystemExit) as ended:
        forecast_batch_component(
            settings, str(tmp_path / "out"), home=str(home), cutoff=CUTOFF, version=version, **RUN, **artifacts
        )
    assert ended.value.code == ExitCode.CONFIG
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("almanac:")]
    assert message in line


def test_a_batch_that_failed_for_good_is_not_made_by_the_retries_of_its_pipeline_but_by_a_later_one(
    models, tmp_path, capsys
):
    home = make_batch_home(models, tmp_path / "home")
    roles = home / "models/tiny/roles.json"
    kept = roles.read_text()
    roles.unlink()
    artifacts = {name: Artifact(tmp_path / name) for name in ("output", "metrics")}
    options = {"home": str(home), "cutoff": CUTOFF, "version": 0, "run": "0b1c", "retries": 1, **artifacts}

    def code() -> int:
        with pytest.raises(SystemExit) as ended:
            forecast_batch_component(SETTINGS, str(tmp_path / "out"), **options)
        return int(ended.value.code)

    first = code()
    roles.write_text(kept)
    assert (first, code()) == (ExitCode.CONFIG, ExitCode.CONFIG)
    assert "forecast_batch: is not tried again, it would fail in the same way: model 'tiny' has no champion" in (
        capsys.readouterr().err
    )
    assert not list((tmp_path / "out").iterdir())
    forecast_batch_component(SETTINGS, str(tmp_path / "out"), **options)
    assert (tmp_path / "out" / FILE).is_file()


STOPPED = """
import os, signal, sys
from pathlib import Path
from pipelines.cli import main
from sqlalchemy import Engine, event

def stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)

event.listen(Engine, "after_cursor_execute", stop)
sys.exit(main(["--home", sys.argv[1], "forecast", "-c", sys.argv[2], "--batch", sys.argv[3], "--cutoff", sys.argv[4]]))
"""


def test_a_batch_that_is_told_to_stop_answers_143_and_leaves_nothing(home, tmp_path):
    url = f"sqlite:///{tmp_path / 'out.db'}"
    command = [sys.executable, "-c", STOPPED, home, home / "tiny.yaml", url, CUTOFF]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.STOPPED
    assert "stopped by SIGTERM; the same command makes the batch, of which nothing is written" in done.stderr
