"""The kind `additive` beside Prophet: mean absolute error on the test period of two tables, each fitted once before it.

`regression` is the kind as Prophet is, from time and covariates alone; `anchored` begins each forecast at the level of
the last day, which Prophet cannot. Demand of Victoria by the hour, with temperature and holidays, 56 days of test; and 12
hourly series of the M4 competition, their last two days, moved to end together. Run by `make bench-additive`, which
installs Prophet into an environment of its own; writes build/bench/additive.json.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT, peer_python

TABLES = ROOT.parent / "shared" / "data"
PROPHET = ("prophet==1.1.7", "cmdstanpy<1.3", "pandas<3")
"""A newer cmdstanpy does not take the compiled model of the wheel; with pandas 3 seasons are a thousand times too long."""
N_M4_SERIES = 12
_DAY_AND_WEEK = [{"period": "24h", "order": 4}, {"period": "7d", "order": 3}]
_NO_GATES = {
    "model": {"max_mae": 1e9, "max_rmse": 1e9, "max_naive_ratio": 1, "max_champion_ratio": 1e9},
    "compressed": {"max_mae": 1e9, "max_rmse": 1e9},
    "serving": {"max_latency_ms": 1e9, "max_difference_ratio": 1e9},
}


@dataclass(frozen=True)
class Case:
    """A table `series, ds, y` with regressors, in UTC, and what the configuration says of it."""

    name: str
    rows: pd.DataFrame
    regressors: tuple[str, ...]
    zone: str
    static: list[str]
    sections: dict[str, Any]


def victoria() -> Case:
    """Demand by the hour, 2012 to 2014."""
    table = pd.read_csv(TABLES / "vic_electricity.csv", parse_dates=["Time"]).set_index("Time")
    table["Holiday"] = table.Holiday.astype(float)
    hourly = table[["Demand", "Temperature", "Holiday"]].resample("1h").mean()
    rows = hourly.reset_index().rename(columns={"Time": "ds", "Demand": "y"}).assign(series="demand")
    sections = {
        "forecast": {"horizon": 24, "context": 48, "segment": 24, "seasons": [24]},
        "features": {"fourier": [*_DAY_AND_WEEK, {"period": "8766h", "order": 10}]},
        "split": {"validation": "28d", "test": "56d", "embargo": False},
        "training": {"max_epochs": 12, "batch_size": 256, "learning_rate": 0.01},
    }
    return Case("victoria", rows, ("Temperature", "Holiday"), "Australia/Melbourne", [], sections)


def m4() -> Case:
    """Hourly series without covariates."""
    table = pd.read_parquet(TABLES / "m4_hourly.parquet")
    names = sorted(table.series_id.unique(), key=lambda name: int(name[1:]))
    chosen = names[:: len(names) // N_M4_SERIES][:N_M4_SERIES]
    parts = []
    for name in chosen:
        values = table[table.series_id == name].value.to_numpy()
        ends = pd.Timestamp("2020-03-02T00:00Z")
        stamps = pd.date_range(end=ends, periods=len(values), freq="1h")
        parts.append(pd.DataFrame({"series": name, "ds": stamps, "y": values}))
    sections = {
        "forecast": {"horizon": 48, "context": 168, "segment": 24, "seasons": [24, 168]},
        "features": {"fourier": _DAY_AND_WEEK, "scaling": {"per_series": ["y"]}},
        "split": {"validation": "5d", "test": "2d", "embargo": False},
        "training": {"max_epochs": 40, "batch_size": 64, "learning_rate": 0.01},
    }
    return Case("m4", pd.concat(parts), (), "UTC", ["name"], sections)


def measure(case: Case, folder: Path) -> dict[str, dict[str, float]]:
    """Errors and seconds of Prophet and of the kind, by name of the method."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    scores: dict[str, pd.DataFrame] = {}
    for method, anchored in (("regression", False), ("anchored", True)):
        began = time.monotonic()
        scores[method] = _ours(case, folder / method, anchored=anchored)
        found[method] = {"wall_s": round(time.monotonic() - began, 1)}
    began = time.monotonic()
    found["prophet"] = {}
    frame = scores["anchored"]
    frame["prophet"] = _prophet(case, folder, frame)
    found["prophet"]["wall_s"] = round(time.monotonic() - began, 1)
    scale = case.rows.groupby("series").y.apply(lambda y: y.diff(24).abs().mean())
    for method in found:
        column = "prophet" if method == "prophet" else "q0.5"
        table = frame if method == "prophet" else scores[method]
        error = (table[column] - table.actual).abs()
        found[method]["mae"] = round(float(error.mean()), 4)
        by_series = error.groupby(table.series.astype(str)).mean()
        found[method]["mase"] = round(float((by_series / scale[by_series.index]).mean()), 4)
    return found


def _ours(case: Case, folder: Path, *, anchored: bool) -> pd.DataFrame:
    """Forecasts of the candidate with their actual values."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"id_columns": ["series"], "static": case.static, "known": list(case.regressors)}
    case.rows.assign(name=case.rows.series).to_csv(folder / "table.csv", index=False)
    sections = {**case.sections}
    sections["features"] = {"calendar": ["trend"], "calendar_time_zone": case.zone, **case.sections["features"]}
    document = {
        "name": case.name,
        "data": {"uri": "table.csv", "time_column": "ds", "target": "y", "frequency": "1h", **columns},
        "model": {"kind": "additive", "anchored": anchored},
        "backtest": {"stride": case.sections["forecast"]["horizon"]},
        "compression": {"max_accuracy_loss": 1},
        "gates": _NO_GATES,
        **sections,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [
        str(ROOT / ".venv" / "bin" / "almanac"),
        "run",
        "-c",
        str(folder / "config.yaml"),
        "--to",
        "evaluate_model",
    ]
    home = folder / "home"
    # A gate may refuse it; what counts is that it was scored.
    subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, "ALMANAC_HOME": str(home)}, stdout=sys.stderr)
    latest = max(home.glob("runs/*/evaluate_model/scores.parquet"), key=lambda path: path.stat().st_mtime)
    scores = pd.read_parquet(latest)
    return scores[scores.model.astype(str) == "candidate"].dropna(subset=["actual"]).reset_index(drop=True)


def _prophet(case: Case, folder: Path, frame: pd.DataFrame) -> pd.Series:
    """Prophet's forecast of each row, fitted on all that lies before the first origin; by the clock of the zone."""

    def clock(stamps: Any) -> Any:
        return stamps.dt.tz_convert(case.zone).dt.tz_localize(None)

    stamps = frame.origin + pd.to_timedelta(frame.step - 1, unit="h")
    # The clock goes back in no test period, so a local time names one row there.
    table = case.rows.assign(ds=clock(case.rows.ds))[["series", "ds", "y", *case.regressors]]
    table.to_csv(folder / "prophet.csv", index=False)
    python = peer_python("prophet", *PROPHET)
    script = Path(__file__).parent / "peers" / "prophet_forecasts.py"
    cutoff = str(clock(stamps).min())
    out = folder / "prophet_out.csv"
    subprocess.run([str(python), str(script), str(folder / "prophet.csv"), str(out), "--cutoff", cutoff], check=True)
    forecasts = pd.read_csv(out, parse_dates=["ds"]).set_index(["series", "ds"]).yhat
    return forecasts.loc[list(zip(frame.series.astype(str), clock(stamps), strict=True))].to_numpy()


def main() -> None:
    """Measure both tables and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "additive.json")
    arguments = parser.parse_args()
    figures, peers = {}, {}
    for case in (victoria(), m4()):
        found = measure(case, arguments.out.parent / "additive" / case.name)
        prophet = found.pop("prophet")
        peers[case.name] = prophet
        best = min(found.values(), key=lambda method: method["mae"])
        figures[case.name] = {**found, "mae_ratio_regression": round(found["regression"]["mae"] / prophet["mae"], 4),
                              "mae_ratio_best": round(best["mae"] / prophet["mae"], 4)}  # fmt: skip
        print(case.name, figures[case.name], "prophet", prophet, flush=True)
    write_bench(arguments.out, figures=figures, peers={"prophet": peers})


if __name__ == "__main__":
    main()
