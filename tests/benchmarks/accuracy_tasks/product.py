"""One task by the product itself: its command up to the exported model, which is then asked at every origin.

    python -m tests.benchmarks.accuracy_tasks.product TASK FOLDER

A process of its own, so that its peak of memory is that of the task. Writes FOLDER/figures.json, and for the peers
FOLDER/series.parquet (what the models saw) and FOLDER/windows.npz.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.origins import BacktestSpec, plan_backtest
from forecasting.backtest.score import score_predictors
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, REPORT_FILE, SAVED_MODEL_DIR
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.features.spec import read_feature_spec
from forecasting.runs import list_runs, load_run
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store
from tests.benchmarks.accuracy_tasks.scoring import Forecasts, ScoringSpec, figures, scoring_spec
from tests.benchmarks.accuracy_tasks.tasks import CONFIGS, TASKS, TaskSpec
from tests.benchmarks.peers.environment import ROOT

BATCH_SIZE = 512
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def run_task(task: TaskSpec, folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Figures of the product and of the seasonal naives.

    Args:
        task: Which.
        folder: Receives the home of its runs; emptied before.
        overrides: Settings to change for a trial, `a.b=value`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    table = task.table(folder)
    runs = [_train(task, table, folder / "home", seed=seed, overrides=overrides) for seed in task.seeds]
    store = read_series_store(runs[0].step(StepName.VALIDATE_DATA))
    backtest = open_task(task, store, horizon=_spec(runs[0]).horizon)
    scoring = scoring_spec(store, backtest, standardised=task.standardised)
    by_seed = [_asked(run, backtest, scoring, task.measures) for run in runs]
    found: dict[str, Any] = dict(by_seed[0])
    if len(by_seed) > 1:
        found = {name: float(f"{np.mean([one[name] for one in by_seed]):.5g}") for name in by_seed[0]}
        found["by_seed"] = by_seed
    write_windows(store, backtest, scoring, folder)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    steps = max(step.peak_rss_bytes for run in runs for step in load_run(run).steps.values()) / 2**20
    return {"ours": {**found, "peak_rss_mib": round(max(own, steps), 1)}, **_naives(runs[0], backtest, scoring, task)}


def open_task(task: TaskSpec, store: SeriesStore, *, horizon: int) -> BacktestSpec:
    """Every origin of the scored period whose whole horizon lies in it."""
    split, step_s = store.spec.split, store.spec.step_s
    first, end = split.validation_end, split.cutoff
    if task.on_validation:
        first, end = split.train_end, split.validation_end
    origins = np.arange(first, end - horizon * step_s + 1, task.stride * step_s, dtype=np.int64)
    return plan_backtest(store, origins, horizon=horizon)


def _train(task: TaskSpec, table: Path, home: Path, *, seed: int, overrides: Sequence[str]) -> RunLayout:
    settings = [f"data.uri={table}", f"training.seed={seed}", *overrides]
    if task.on_validation:
        settings.append("training.refit=false")
    words = ["run", "-c", str(CONFIGS / f"{task.config}.yaml"), "--to", StepName.TRAIN_MODEL.value]
    words += [word for setting in settings for word in ("--set", setting)]
    almanac = str(Path(sys.executable).with_name("almanac"))
    environment = {**os.environ, **ONE_THREAD, "ALMANAC_HOME": str(home)}
    subprocess.run([almanac, *words], check=True, cwd=ROOT, env=environment, stdout=sys.stderr)
    return list_runs(home_layout(home))[0]


def _spec(run: RunLayout) -> Any:
    return read_feature_spec(run.step(StepName.TRAIN_MODEL) / FEATURE_SPEC_FILE)


def _asked(run: RunLayout, backtest: BacktestSpec, scoring: ScoringSpec, measures: tuple[str, ...]) -> dict[str, float]:
    """Figures of the exported model of a run, and what it took to train it."""
    from forecasting.neural.predictor import SavedModelPredictor

    model, spec = run.step(StepName.TRAIN_MODEL), _spec(run)
    predictor = SavedModelPredictor(model / SAVED_MODEL_DIR)
    record = score_predictors({"model": predictor}, spec, backtest=backtest, batch_size=BATCH_SIZE)["model"]
    forecasts = Forecasts(record.point, record.mean, record.quantiles, record.levels)
    report = json.loads((model / REPORT_FILE).read_text(encoding="utf-8"))
    took = {
        "fit_cpu_s": round(report["cpu_s"] + report["refit_cpu_s"], 1),
        "refit_cpu_s": round(report["refit_cpu_s"], 1),
        "n_parameters": report["n_parameters"],
    }
    return figures(forecasts, scoring, measures) | took


def _naives(run: RunLayout, backtest: BacktestSpec, scoring: ScoringSpec, task: TaskSpec) -> dict[str, Any]:
    spec = _spec(run)
    naives = {f"seasonal_naive_{season}": SeasonalNaivePredictor(season, spec.quantiles) for season in spec.seasons}
    records = score_predictors(naives, spec, backtest=backtest, batch_size=BATCH_SIZE)
    return {name: figures(Forecasts(record.point), scoring, task.measures) for name, record in records.items()}


def write_windows(store: SeriesStore, backtest: BacktestSpec, scoring: ScoringSpec, folder: Path) -> None:
    """What the peers read: the series as the models saw them, and the windows in the order of the figures."""
    columns, parts = store.spec.columns, []
    for series in store:
        stamps = series.start + store.spec.step_s * np.arange(series.n_steps)
        covariates = {name: series.values[:, i] for i, name in enumerate(columns) if name in store.spec.known}
        part = {"series": series.id, "ds": pd.to_datetime(stamps, unit="s"), "y": series.values[:, 0], **covariates}
        parts.append(pd.DataFrame(part))
    pd.concat(parts).to_parquet(folder / "series.parquet", index=False)
    ids = np.asarray([series.id for series in store])
    np.savez(
        folder / "windows.npz", series=ids[backtest.rows], origins=backtest.origins, actual=scoring.actual,
        unit=scoring.unit, mase_scale=scoring.mase_scale, step_s=backtest.step_s,
    )  # fmt: skip


def main() -> None:
    """Run one task and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    found = run_task(TASKS[arguments.task], arguments.folder.resolve(), arguments.overrides)
    (arguments.folder / "figures.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
