"""`almanac store`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from forecasting.contracts.codes import ExitCode
from forecasting.store.address import store_address
from forecasting.store.forecasts import (
    ForecastBatchRecord,
    ForecastQuery,
    ForecastRole,
    read_forecasts,
    write_forecasts,
)
from forecasting.store.opening import HEAD, open_store, store_version
from pipelines.cli import main
from pipelines.initial.opening import PLACEHOLDER_COMPRESSION, PLACEHOLDER_GATES


@dataclass(frozen=True)
class Home:
    """A home whose store has a forecast of 2023."""

    root: Path
    config: Path

    def store(self, *words: str, config: Path | None = None) -> int:
        return main(["--home", str(self.root), "store", words[0], "-c", str(config or self.config), *words[1:]])

    def n_forecasts(self) -> int:
        with open_store(store_address(None, self.root / "serving.db")) as store:
            return len(read_forecasts(store, ForecastQuery(model="toy")))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    config = tmp_path / "toy.yaml"
    settings = {
        "name": "toy",
        "data": {"uri": "toy.csv", "time_column": "time", "target": "y"},
        "compression": PLACEHOLDER_COMPRESSION,
        "gates": PLACEHOLDER_GATES,
    }
    config.write_text(json.dumps(settings))
    made = Home(tmp_path / "home", config)
    batch = ForecastBatchRecord(
        request="r1", created_at=1_700_000_000, role=ForecastRole.CHAMPION, model="toy", version=1, series=("a",),
        origins=np.array([1_700_000_000]), step_s=3600, n_steps=1, levels=(0.5,), answers=np.ones((1, 1, 1), np.float32),
    )  # fmt: skip
    with open_store(store_address(None, made.root / "serving.db")) as store:
        write_forecasts(store, [batch])
    return made


def test_a_backup_is_restored_only_where_that_is_asked_for(home, tmp_path, capsys):
    backup = str(tmp_path / "backup.db")
    assert home.store("backup", "--out", backup) == ExitCode.DONE
    assert f"serving.db is in {backup} (" in capsys.readouterr().out
    assert home.store("prune") == ExitCode.DONE
    assert home.n_forecasts() == 0
    assert home.store("restore", backup) == ExitCode.CONFIG
    assert "add --force to replace it" in capsys.readouterr().err
    assert home.store("restore", backup, "--force") == ExitCode.DONE
    assert home.n_forecasts() == 1


def test_prune_keeps_what_the_configuration_says(home, capsys):
    assert home.store("prune", "--set", "store.keep_forecasts=null", "--json") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"rows": {}, "partitions": []}
    assert home.n_forecasts() == 1
    assert home.store("prune", "--set", "store.keep_forecasts=30d") == ExitCode.DONE
    found = capsys.readouterr()
    assert (found.out, found.err) == ("1 rows of forecasts\n", "removed 1 rows and 0 partitions\n")


def test_the_tables_go_down_and_up_again(home, capsys):
    assert home.store("upgrade", "--to", "base") == ExitCode.DONE
    assert home.store("upgrade") == ExitCode.DONE
    assert capsys.readouterr().out.endswith(f"serving.db is of version {HEAD}; it was without tables\n")
    with open_store(store_address(None, home.root / "serving.db")) as store:
        assert store_version(store) == HEAD


@pytest.mark.parametrize("words", [("backup", "--out", "x.db"), ("prune",), ("upgrade",)])
def test_where_there_is_no_store_none_is_made(home, tmp_path, capsys, words):
    assert (
        main(["--home", str(tmp_path / "empty"), "store", words[0], "-c", str(home.config), *words[1:]])
        == ExitCode.CONFIG
    )
    assert "there must be a store at" in capsys.readouterr().err
    assert not (tmp_path / "empty").exists()
