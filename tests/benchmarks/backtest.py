"""The backtest of 1,000 hourly series at 180 origins, 24 steps ahead: forecasts, tidy table and every metric.

Four models are scored, as in a run that has a champion: a candidate and a champion that cost nothing (they repeat the
last day, shifted), so that the figure is that of the backtest and not of a network, and the seasonal naive forecasts of
day and week with their quantiles. pandas makes a few of the metrics of the same table beside it. Run by
`make bench-backtest`; writes build/bench/backtest.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from forecasting.backtest.report import naive_predictors, open_backtest, score_backtest
from forecasting.backtest.score import score_predictors, write_scores
from forecasting.backtest.summary import write_backtest_report, write_series_scores
from forecasting.config.sections import BacktestConfig
from forecasting.features.spec import CalendarSpec, FeatureSpec, ScalerSpec
from forecasting.predictors import Predictor
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.windows import ModelInputs
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT

HOUR_S, DAY_S, START = 3_600, 86_400, 1_577_836_800
LEVELS = (0.1, 0.5, 0.9)
SEASONS = (24, 168)
N_TRAIN_DAYS = 60


class ShiftedDayPredictor(Predictor):
    """The last day and a constant."""

    def __init__(self, shift: float) -> None:
        self.shift = np.array([-5.0, 0.0, 5.0], dtype=np.float32) + np.float32(shift)

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        return inputs.history[:, -24:, :1] + self.shift


def make_store(n_series: int, n_origins: int) -> SeriesStore:
    """Series of a day and a week with noise, and a test period of so many days."""
    rng = np.random.default_rng(0)
    n_days = N_TRAIN_DAYS + n_origins
    hours = np.arange(24 * n_days)
    wave = 10 * np.sin(2 * np.pi * hours / 24) + 4 * np.sin(2 * np.pi * hours / 168)
    split = SplitSpec(START + (N_TRAIN_DAYS - 7) * DAY_S, START + N_TRAIN_DAYS * DAY_S, cutoff=START + n_days * DAY_S)
    spec = SeriesSpec("y", (), (), (), {}, HOUR_S, split)
    series = (
        Series(f"s{i:05d}", START, (100 + wave + rng.normal(0, 3, size=len(hours)))[:, None]) for i in range(n_series)
    )
    return SeriesStore(spec, tuple(series))


def feature_spec() -> FeatureSpec:
    """Two weeks of context, no covariates; holidays in the calendar, so that their slice is counted too."""
    calendar = CalendarSpec((), (), transitions=(), offsets_s=(36_000,), holidays=tuple(range(18_262, 18_600, 20)))
    return FeatureSpec(
        target="y", observed=(), known=(), static=(), categories={}, step_s=HOUR_S, context=336, horizon=24, segment=24,
        seasons=SEASONS, quantiles=LEVELS, calendar=calendar, derived=(), scaler=ScalerSpec({}, {}), target_scaling="train",
    )  # fmt: skip


def measure(n_series: int, n_origins: int, folder: Path) -> dict[str, Any]:
    """The whole backtest in this process."""
    store, spec = make_store(n_series, n_origins), feature_spec()
    settings = BacktestConfig(stride=24, batch_size=1_024)
    before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    clock, cpu_s = [time.perf_counter()], time.process_time()
    backtest = open_backtest(store, spec, settings=settings)
    predictors: dict[str, Predictor] = {"candidate": ShiftedDayPredictor(0.5), "champion": ShiftedDayPredictor(1.0)}
    predictors |= naive_predictors(SEASONS, LEVELS)
    forecasts = score_predictors(predictors, spec, backtest=backtest, batch_size=settings.batch_size)
    clock.append(time.perf_counter())
    scores = score_backtest(store, spec, backtest=backtest, forecasts=forecasts, settings=settings)
    write_backtest_report(scores.report, folder / "metrics.json")
    write_series_scores(folder / "series_scores.parquet", backtest, scores=scores.series)
    clock.append(time.perf_counter())
    write_scores(folder / "scores.parquet", backtest, forecasts=forecasts)
    clock.append(time.perf_counter())
    forecast_s, metrics_s, table_s = np.diff(clock).tolist()
    return {
        "n_points": backtest.n_points,
        "n_models": len(forecasts),
        "total_s": clock[-1] - clock[0],
        "cpu_s": time.process_time() - cpu_s,
        "forecast_s": forecast_s,
        "metrics_s": metrics_s,
        "table_s": table_s,
        "table_mib": (folder / "scores.parquet").stat().st_size / (1 << 20),
        "series_mib": before_mib,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        "mae_candidate": scores.report.models["candidate"].overall["mae"],
    }


def measure_pandas(path: Path) -> dict[str, Any]:
    """Error, squared error, size and coverage by step, series and hour of the same table."""
    began = time.perf_counter()
    table = pd.DataFrame(pq.read_table(path).to_pandas())
    error = table["actual"] - table["q0.5"]
    terms = pd.DataFrame(
        {
            "absolute": error.abs(),
            "squared": error**2,
            "size": table["actual"].abs(),
            "inside": (table["q0.1"] <= table["actual"]) & (table["actual"] <= table["q0.9"]),
        }
    )
    hour = (table["origin"] + pd.to_timedelta(table["step"] - 1, unit="h")).dt.hour
    parts = [terms.groupby([table["model"], by], observed=True).mean() for by in (table["step"], table["series"], hour)]
    overall = terms.groupby(table["model"], observed=True).mean()
    return {
        "total_s": time.perf_counter() - began,
        "n_groups": sum(map(len, parts)),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        "mae_candidate": float(overall.loc["candidate", "absolute"]),
    }


def in_process(*words: str) -> dict[str, Any]:
    """Measure in a process of its own and read its last line."""
    command = [sys.executable, "-m", "tests.benchmarks.backtest", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{words[0]:8} {found['total_s']:7.1f} s, {found['peak_rss_mib']:,.0f} MiB", flush=True)
    return found


def main() -> None:
    """Measure all, or one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "backtest", "pandas"), default="all")
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--origins", type=int, default=180)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.part == "backtest":
        print(json.dumps(measure(arguments.series, arguments.origins, arguments.folder)))
    elif arguments.part == "pandas":
        print(json.dumps(measure_pandas(arguments.folder / "scores.parquet")))
    else:
        with tempfile.TemporaryDirectory(prefix="almanac-bench-") as folder:
            size = ("--series", str(arguments.series), "--origins", str(arguments.origins), "--folder", folder)
            figures, peer = in_process("backtest", *size), in_process("pandas", *size)
        write_bench(arguments.out, figures=figures, peers={"pandas": peer})
        print(arguments.out)


if __name__ == "__main__":
    main()
