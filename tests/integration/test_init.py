"""A configuration that `almanac init` wrote runs: the real commands, one after the other."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecasting.config import load_config
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import list_runs

pytestmark = pytest.mark.slow

ALMANAC = Path(sys.executable).with_name("almanac")
SHARED = Path(__file__).parents[2] / "../shared/data"
QUICK = ("--set", "training.max_epochs=2", "--set", "training.refit=false", "--set", "validation.data_docs=false")


def almanac(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ALMANAC_HOME": str(folder / "home"), "GX_ANALYTICS_ENABLED": "false"}
    return subprocess.run(
        [str(ALMANAC), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=400
    )  # fmt: skip


def init(folder: Path, table: str) -> Path:
    made = almanac(folder, "init", table, "-o", "made.yaml")
    assert made.returncode == 0, made.stderr
    assert almanac(folder, "config", "check", "-c", "made.yaml").returncode == 0
    return folder / "made.yaml"


def naive_error(folder: Path) -> float:
    """MAE of the better naive forecast, as evaluate_model found it."""
    (run,) = list_runs(HomeLayout(folder / "home"))
    step = run.step(StepName.EVALUATE_MODEL)
    report = json.loads((step / "report.json").read_text())
    metrics = json.loads((step / "metrics.json").read_text())
    return float(metrics["models"][report["better_naive"]]["overall"]["mae"])


def proposed_naive_error(config: Path) -> float:
    """The figure in the comment beside the proposed limit."""
    (line,) = [line for line in config.read_text().splitlines() if "max_mae" in line and "×" in line]
    return float(line.split()[-1].replace(",", ""))


def write_panel(path: Path) -> None:
    """Six shops of two kinds, 400 days; promotions are planned two weeks further."""
    rng = np.random.default_rng(11)
    lines = ["day,shop,kind,promo,sales"]
    for shop in range(6):
        for day in range(414):
            promo = int((day + shop) % 11 == 0)
            level = (20, 200)[shop % 2] * (1.4 if day % 7 in (4, 5) else 1.0) * (1.5 if promo else 1.0)
            sales = f"{max(0.0, rng.normal(level, level / 8)):.1f}" if day < 400 else ""
            lines.append(
                f"{date(2023, 1, 2) + timedelta(days=day)},s{shop},{'small' if shop % 2 == 0 else 'large'},{promo},{sales}"
            )
    path.write_text("\n".join(lines) + "\n")


def test_the_electricity_example_is_evaluated(tmp_path):
    config = init(tmp_path, "example://electricity")
    done = almanac(
        tmp_path, "run", "-c", str(config), "--to", "evaluate_model", "--set", "training.max_steps_per_epoch=60", *QUICK
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert naive_error(tmp_path) == pytest.approx(proposed_naive_error(config), rel=1e-3)


def test_a_panel_with_ids_static_columns_and_promotions_is_evaluated(tmp_path):
    write_panel(tmp_path / "shops.csv")
    config = init(tmp_path, "shops.csv")
    data = load_config(config).data
    assert (data.target, data.id_columns, data.static, data.known) == ("sales", ("shop",), ("kind",), ("promo",))
    done = almanac(tmp_path, "run", "-c", str(config), "--to", "evaluate_model", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert naive_error(tmp_path) == pytest.approx(proposed_naive_error(config), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "target", "ids"),
    [("ETTh1.csv", "OT", ()), ("m4_hourly.parquet", "value", ("series_id",)), ("vic_electricity.csv", "Demand", ())],
)
def test_tables_of_others_reach_their_features(tmp_path, name, target, ids):
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data")
    config = init(tmp_path, str((SHARED / name).resolve()))
    data = load_config(config).data
    assert (data.target, data.id_columns) == (target, ids)
    done = almanac(tmp_path, "run", "-c", str(config), "--to", "build_features", "--set", "validation.data_docs=false")
    assert done.returncode == 0, done.stdout + done.stderr
