"""Batches in a database, without a command around them."""

import subprocess
import sys

import pytest
import sqlalchemy as sql

from components.batch.forecast_batch import open_place
from components.batch.make_batch import make_batch
from forecasting.repository import ModelRepository
from tests.unit.batch.homes import make_batch_home
from tests.unit.serving.conftest import START

AT = START + 42 * 3600


@pytest.fixture(scope="module")
def repository(models, tmp_path_factory):
    return ModelRepository(make_batch_home(models, tmp_path_factory.mktemp("sql")) / "models")


def test_a_batch_whose_process_is_killed_leaves_no_row_and_the_next_run_makes_it_whole(repository, tmp_path):
    url = f"sqlite:///{tmp_path / 'out.db'}"
    command = [sys.executable, "-m", "tests.unit.batch.killed_batch", repository.root, url, str(AT)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    engine = sql.create_engine(url)
    assert not sql.inspect(engine).has_table("almanac_forecasts")
    with open_place(url) as place:
        assert make_batch(repository, "tiny", place, cutoff=AT).is_new
        assert not make_batch(repository, "tiny", place, cutoff=AT).is_new
    with engine.connect() as connection:
        count = sql.text("SELECT count(*), count(DISTINCT series || timestamp) FROM almanac_forecasts")
        assert tuple(connection.execute(count).one()) == (12, 12)
    engine.dispose()
