"""`almanac forecast --batch` beside a gateway in front of the same version, with the same observations."""

import json
import sqlite3
import sys
import urllib.request

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.contracts.codes import ExitCode
from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from pipelines.cli import main
from serving.gateway.arrow_bodies import ARROW
from tests.unit.batch.homes import CUTOFF, make_batch_home
from tests.unit.serving.conftest import LINE

FILE = "tiny-20140102T180000Z-v1.parquet"


@pytest.fixture(scope="module")
def home(models, tmp_path_factory):
    return make_batch_home(models, tmp_path_factory.mktemp("batch"))


def _post(address, path, body, accept="application/json"):
    headers = {"content-type": "application/json", "accept": accept}
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read()


@pytest.fixture(scope="module")
def online(home):
    """What the gateway answers for the cutoff, after it has taken two observations of a, b and e."""
    config = ModelRepository(home / "models").server_config
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=home / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", "--store=default"]
        with listening_process(command, LINE, log=home / "gateway.log") as (_, addresses):
            seen = {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70, 71]}}
            _post(addresses["http"], "/v1/observations", {"observations": dict.fromkeys(("a", "b", "e"), seen)})
            body = _post(addresses["http"], "/v1/forecast", {"cutoff": CUTOFF}, ARROW)
    return pa.ipc.open_stream(body).read_all()


@pytest.fixture
def batch(home, online):
    """Runs the command; the store has the observations by then."""

    def run(*words):
        return main(["--home", str(home), "forecast", "-c", str(home / "tiny.yaml"), *map(str, words)])

    return run


def test_a_batch_says_what_the_gateway_says_for_the_same_cutoff(batch, online, tmp_path, capsys):
    assert batch("--batch", tmp_path, "--cutoff", CUTOFF) == ExitCode.DONE
    found = pq.read_table(tmp_path / FILE)
    assert set(found.column("series").to_pylist()) == {"a", "b", "c", "e"}
    columns = [name for name in online.column_names if name != "limited_by"]
    assert found.column_names == ["model", "version", "cutoff", *columns]
    for name in columns:
        assert found.column(name).to_pylist() == online.column(name).to_pylist(), name
    assert pq.read_metadata(tmp_path / FILE).metadata[b"skipped"] == online.schema.metadata[b"skipped"]
    told = capsys.readouterr().err
    assert "skipped: series 'd' cannot be forecast: it has no target" in told
    assert f"wrote {tmp_path / FILE}: 4 series, 2 of them degraded, version 1 from {CUTOFF}" in told


def test_a_batch_has_flags_and_reasons_and_reads_what_was_observed(batch, tmp_path):
    batch("--batch", tmp_path, "--cutoff", CUTOFF)
    rows = pq.read_table(tmp_path / FILE).to_pylist()
    flags = {row["series"]: (row["degraded"], row["imputed"], row["stale"], row["reason"]) for row in rows}
    assert flags == {
        "a": (False, False, False, None),
        "b": (True, False, False, "the series is in quarantine: its unit changed"),
        "c": (True, True, True, "the series has no target in what the model reads of its history"),
        "e": (False, True, False, None),
    }
    points = [row["point"] for row in rows if row["series"] == "a"]
    # Twice the mean of hours 36 to 41 of which the last two were observed, and the temperature ahead.
    base = 2 * (10 + 11 + 12 + 13 + 70 + 71) / 6
    np.testing.assert_allclose(points, [base + 22, base + 23, base + 24], rtol=1e-6)


def test_the_second_run_of_a_cutoff_and_version_writes_nothing(batch, tmp_path, capsys):
    batch("--batch", tmp_path, "--cutoff", CUTOFF)
    before = (tmp_path / FILE).stat()
    assert batch("--batch", tmp_path, "--cutoff", "2014-01-02T19:00:00+01:00") == ExitCode.DONE
    after = (tmp_path / FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert f"version 1 from {CUTOFF} is in {tmp_path / FILE} already; nothing is written" in capsys.readouterr().err


def test_another_version_or_cutoff_is_another_batch(batch, tmp_path):
    batch("--batch", tmp_path, "--cutoff", CUTOFF)
    batch("--batch", tmp_path, "--cutoff", CUTOFF, "--version", "2")
    batch("--batch", tmp_path, "--cutoff", "2014-01-02T17:00:00Z")
    names = {FILE, "tiny-20140102T180000Z-v2.parquet", "tiny-20140102T170000Z-v1.parquet"}
    assert {path.name for path in tmp_path.iterdir()} == names
    second = pq.read_table(tmp_path / "tiny-20140102T180000Z-v2.parquet").to_pylist()
    assert {row["version"] for row in second} == {2}
    points = [row["point"] for row in second if row["series"] == "a"]
    np.testing.assert_allclose(points, [187 / 6 + 22, 187 / 6 + 23, 187 / 6 + 24], rtol=1e-6)


def test_without_a_cutoff_it_is_the_latest_origin_of_most_series(batch, tmp_path, capsys):
    assert batch("--all", "--batch", tmp_path, "--json") == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    # Hour 42 for a, b and e; c has had nothing since hour 5.
    assert (told["cutoff"], told["n_series"], told["n_degraded"], told["is_new"]) == (CUTOFF, 4, 2, True)
    batch("--batch", tmp_path, "--json")
    assert json.loads(capsys.readouterr().out)["is_new"] is False


def test_a_database_has_the_same_rows_once(batch, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'out.db'}"
    batch("--batch", tmp_path / "files", "--cutoff", CUTOFF)
    assert batch("--batch", url, "--cutoff", CUTOFF) == ExitCode.DONE
    assert batch("--batch", url, "--cutoff", CUTOFF) == ExitCode.DONE
    assert f"the table almanac_forecasts of {tmp_path / 'out.db'} already" in capsys.readouterr().err
    batch("--batch", url, "--cutoff", CUTOFF, "--version", "2")
    wanted = pq.read_table(tmp_path / "files" / FILE).to_pylist()
    connection = sqlite3.connect(tmp_path / "out.db")
    query = 'SELECT series, timestamp, point, "q0.1", degraded, reason FROM almanac_forecasts WHERE version = 1'
    found = connection.execute(f"{query} ORDER BY rowid").fetchall()
    assert connection.execute("SELECT count(*) FROM almanac_forecasts").fetchone() == (24,)
    connection.close()
    keys = ("series", "timestamp", "point", "q0.1", "degraded", "reason")
    assert found == [
        tuple(f"{row[key]:%Y-%m-%d %H:%M:%S}.000000" if key == "timestamp" else row[key] for key in keys)
        for row in wanted
    ]


def test_a_table_that_lacks_a_column_is_left_alone(batch, tmp_path, capsys):
    connection = sqlite3.connect(tmp_path / "out.db")
    connection.execute("CREATE TABLE almanac_forecasts (model TEXT, version INTEGER, cutoff TEXT, series TEXT)")
    connection.close()
    assert batch("--batch", f"sqlite:///{tmp_path / 'out.db'}", "--cutoff", CUTOFF) == ExitCode.CONFIG
    assert "and lacks timestamp, point, q0.1, q0.5, q0.9, origin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--series", "a"], "leave out --series"),
        (["--origin", CUTOFF, "--out", "a.csv"], "leave out --origin, --out"),
        (["--version", "9"], "must have the version that is asked for, found [1, 2] and not 9"),
        (["--cutoff", "2014-01-02"], "the cutoff must carry a time zone"),
        (["--cutoff", "2030-01-02T00:00:00Z"], "cannot forecast from the cutoff"),
    ],
)
def test_a_batch_that_cannot_be_made_is_refused_and_leaves_nothing(batch, tmp_path, capsys, words, message):
    assert batch("--batch", tmp_path, *words) == ExitCode.CONFIG
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cutoff_without_a_batch_is_refused(batch, capsys):
    assert batch("--cutoff", CUTOFF) == ExitCode.CONFIG
    assert "give --batch FOLDER|URL with them, or --origin T" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_error(batch, tmp_path, capsys):
    assert batch("--batch", tmp_path / "no" / "folder", "--cutoff", CUTOFF) == ExitCode.CONFIG
    assert "batches must go to a folder that can be made" in capsys.readouterr().err


def test_a_batch_without_a_place_goes_where_the_configuration_says(batch, home, capsys):
    assert batch("--cutoff", CUTOFF, "--batch") == ExitCode.CONFIG
    assert "--batch FOLDER|URL, or batch.to in the configuration" in capsys.readouterr().err
    assert batch("--set", "batch.to=nightly", "--cutoff", CUTOFF, "--batch") == ExitCode.DONE
    assert [path.name for path in (home / "nightly").iterdir()] == [FILE]
