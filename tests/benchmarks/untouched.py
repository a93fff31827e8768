"""Defaults that travel: what `almanac init` writes for a table, run untouched, beside a recursive LightGBM.

    python -m tests.benchmarks.untouched [TABLE …] [--target COLUMN] [--out FILE] [--set KEY=VALUE]

Each table (CSV or Parquet; without any, those of ../shared/data) is proposed a configuration, which is run up to its
backtest without a change; LightGBM is fitted once on what lies before the test period and asked for the same windows, with
the covariates that the configuration calls known. MAE is over the steps whose actual value is known. Run by
`make bench-untouched`; writes build/bench/untouched.json, a figure a table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.contracts.artifacts import REPORT_FILE, SCORES_FILE
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.runs import list_runs
from forecasting.series_store import read_series_store
from tests.benchmarks.accuracy_tasks.peers import LIGHTGBM, SCRIPTS
from tests.benchmarks.accuracy_tasks.product import ONE_THREAD
from tests.benchmarks.accuracy_tasks.tasks import TABLES
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT, peer_python


def measure(table: Path, folder: Path, *, init: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Figures of a table: MAE of the model, of the better naive and of LightGBM, and what it took."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / "proposed.yaml"
    _almanac(folder, "init", str(table), "--output", str(config), *init)
    settings = [word for setting in overrides for word in ("--set", setting)]
    # 4: the backtest was made, and its gate refuses the model.
    _almanac(folder, "run", "-c", str(config), "--to", StepName.EVALUATE_MODEL.value, *settings, may_answer=(0, 4))
    run = list_runs(home_layout(folder / "home"))[0]
    scores = pd.read_parquet(run.step(StepName.EVALUATE_MODEL) / SCORES_FILE).dropna(subset="actual")
    errors = (scores["q0.5"] - scores.actual).abs().groupby(scores.model.astype(str)).mean()
    report = json.loads((run.step(StepName.TRAIN_MODEL) / REPORT_FILE).read_text(encoding="utf-8"))
    peer = _lightgbm(run, scores[scores.model == ModelRole.CANDIDATE.value], folder)
    mae, naive = errors[ModelRole.CANDIDATE.value], errors.drop(ModelRole.CANDIDATE.value).min()
    figures = {"mae": mae, "naive_mae": naive, "lightgbm_mae": peer, "lower_than_lightgbm": 1 - mae / peer}
    return {
        **{name: float(f"{value:.4g}") for name, value in figures.items()},
        "fit_cpu_s": round(report["cpu_s"] + report["refit_cpu_s"], 1),
        "n_parameters": report["n_parameters"],
        "n_points": len(scores) // len(errors),
    }


def _almanac(folder: Path, *words: str, may_answer: tuple[int, ...] = (0,)) -> None:
    almanac = str(Path(sys.executable).with_name("almanac"))
    environment = {**os.environ, **ONE_THREAD, "ALMANAC_HOME": str(folder / "home")}
    code = subprocess.run([almanac, *words], check=False, cwd=ROOT, env=environment, stdout=sys.stderr).returncode
    if code not in may_answer:
        raise SystemExit(f"almanac {words[0]} must end with one of {may_answer}, found {code}: {' '.join(words)}")


def _lightgbm(run: RunLayout, scores: pd.DataFrame, folder: Path) -> float:
    """MAE of the peer on the steps that are scored."""
    store = read_series_store(run.step(StepName.VALIDATE_DATA))
    columns, parts = store.spec.columns, []
    for series in store:
        stamps = pd.to_datetime(series.start + store.spec.step_s * np.arange(series.n_steps), unit="s")
        known = {name: series.values[:, i] for i, name in enumerate(columns) if name in store.spec.known}
        parts.append(pd.DataFrame({"series": series.id, "ds": stamps, "y": series.values[:, 0], **known}))
    pd.concat(parts).to_parquet(folder / "series.parquet", index=False)
    windows = scores[["series", "origin"]].drop_duplicates().astype({"series": str}).reset_index(drop=True)
    asked, out = folder / "asked.csv", folder / "lightgbm.npy"
    windows.assign(ds=windows.origin.dt.tz_localize(None))[["series", "ds"]].to_csv(asked, index=False)
    words = [str(folder / "series.parquet"), str(asked), str(out), "--horizon", str(scores.step.max())]
    words += ["--step", str(store.spec.step_s), "--zone", "UTC"]
    python = peer_python("mlforecast", *LIGHTGBM)
    subprocess.run([str(python), str(SCRIPTS / "lightgbm_forecasts.py"), *words], check=True, stdout=sys.stderr)
    window = windows.assign(window=np.arange(len(windows)))
    rows = scores.astype({"series": str}).merge(window, on=["series", "origin"], validate="many_to_one")
    answers = np.load(out)[rows.window, rows.step - 1]
    return float(np.abs(answers - rows.actual).mean())


def main() -> None:
    """Measure the named tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", type=Path, metavar="TABLE")
    parser.add_argument("--target", help="column to forecast, where one table is named")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="for a trial")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "untouched.json")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for table in arguments.tables or sorted(path for path in TABLES.iterdir() if path.suffix in (".csv", ".parquet")):
        init = ["--target", arguments.target] if arguments.target else []
        folder = arguments.out.parent / arguments.out.stem / table.stem
        found = measure(table.resolve(), folder.resolve(), init=init, overrides=arguments.overrides)
        print(f"{table.stem:32}" + "  ".join(f"{name} {value}" for name, value in found.items()), flush=True)
        figures[table.stem] = found
        write_bench(arguments.out, figures=figures, peers={})


if __name__ == "__main__":
    main()
