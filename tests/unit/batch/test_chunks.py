"""Batches made chunk by chunk, without a command around them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.batch.batch_table import BatchSpec
from components.batch.make_batch import make_batch
from components.batch.parquet_folder import ParquetFolder
from forecasting.repository import ModelRepository
from forecasting.store.address import store_address
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import open_store
from forecasting.store.packing import GridSpec
from tests.unit.batch.homes import CUTOFF, make_batch_home
from tests.unit.serving.conftest import START

AT = START + 42 * 3600
FILE = "tiny-20140102T180000Z-v1.parquet"


@pytest.fixture(scope="module")
def repository(models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    return ModelRepository(make_batch_home(models, tmp_path_factory.mktemp("chunks")) / "models")


@pytest.fixture
def store(tmp_path):
    """Two steps of a, and six of new1 and new2 with the temperature ahead, which no version has."""
    hours = np.arange(36, 42)
    ahead = np.arange(36, 45)
    rows = ObservationRows(
        model="tiny",
        series=("a", "new1", "new2"),
        names=("Demand", "Temperature"),
        series_at=np.concatenate([np.zeros(2), np.repeat([1, 2], 6), np.repeat([1, 2], 9)]).astype(np.int64),
        name_at=np.concatenate([np.zeros(14), np.ones(18)]).astype(np.int64),
        time=START + 3600 * np.concatenate([[40, 41], hours, hours, ahead, ahead]).astype(np.int64),
        number=np.concatenate([[70.0, 71.0], np.full(6, 5.0), np.full(6, 6.0), np.full(18, 1.0)]),
        known_at=np.full(32, START + 42 * 3600),
    )
    with open_store(store_address(None, tmp_path / "serving.db")) as opened:
        write_observations(opened, rows, GridSpec(3600, 0), now=START + 42 * 3600)
        yield opened


def make(repository, folder, store=None, **options):
    folder.mkdir()
    found = make_batch(repository, "tiny", ParquetFolder(folder), store=store, **options)
    return found, pq.read_table(folder / FILE)


def test_chunks_of_one_series_make_the_rows_of_a_batch_made_at_once(repository, store, tmp_path):
    whole, at_once = make(repository, tmp_path / "whole", store, cutoff=AT)
    parts, by_one = make(repository, tmp_path / "parts", store, cutoff=AT, at_once=1)
    assert by_one.to_pylist() == at_once.to_pylist()
    assert (parts.n_series, parts.n_degraded, parts.skipped) == (whole.n_series, whole.n_degraded, whole.skipped)
    assert (parts.n_series, parts.n_degraded) == (6, 2)
    metadata = [pq.read_metadata(tmp_path / name / FILE).metadata[b"skipped"] for name in ("whole", "parts")]
    assert metadata[0] == metadata[1]


def test_series_that_only_observations_have_come_last_and_are_forecast(repository, store, tmp_path):
    _, rows = make(repository, tmp_path / "out", store, cutoff=AT)
    series = list(dict.fromkeys(rows.column("series").to_pylist()))
    assert series == ["a", "b", "c", "e", "new1", "new2"]
    points = {row["series"]: row["point"] for row in rows.to_pylist()}
    assert (points["new1"], points["new2"]) == (2 * 5 + 1, 2 * 6 + 1)


def test_the_commonest_origin_is_the_same_however_large_the_chunks_are(repository, store, tmp_path):
    whole, _ = make(repository, tmp_path / "whole", store)
    parts, _ = make(repository, tmp_path / "parts", store, at_once=1)
    assert whole.cutoff == parts.cutoff == CUTOFF


KILLED = """
import os, signal, sys
from pathlib import Path
from components.batch.make_batch import make_batch
from components.batch.parquet_folder import ParquetFolder
from forecasting.repository import ModelRepository

class Killed(ParquetFolder):
    def write(self, spec, draft):
        os.kill(os.getpid(), signal.SIGKILL)

make_batch(ModelRepository(Path(sys.argv[1])), "tiny", Killed(Path(sys.argv[2])), cutoff=int(sys.argv[3]))
"""


def test_a_batch_whose_process_is_killed_leaves_no_file_that_a_reader_finds_and_the_next_run_makes_it_whole(
    repository, tmp_path
):
    folder = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, repository.root, folder, str(AT)], capture_output=True)
    assert killed.returncode == -9, killed.stderr
    (left,) = folder.iterdir()
    assert (left.name[0], left.suffix) == (".", ".tmp")
    found = make_batch(repository, "tiny", ParquetFolder(folder), cutoff=AT)
    assert found.is_new
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_draft_that_a_living_process_writes_is_left_alone(repository, tmp_path):
    place, spec = ParquetFolder(tmp_path), BatchSpec("tiny", 1, AT)
    with place.draft(spec) as first:
        first.write_bytes(b"half")
        with place.draft(spec) as second:
            assert first.read_bytes() == b"half"
            assert first != second
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_make_the_same_batch_at_once_one_writes_it(tmp_path):
    place, spec = ParquetFolder(tmp_path), BatchSpec("tiny", 1, AT)
    with place.draft(spec) as first, place.draft(spec) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
        assert place.write(spec, first) is True
        assert place.write(spec, second) is False
    assert (tmp_path / FILE).read_bytes() == b"first"
