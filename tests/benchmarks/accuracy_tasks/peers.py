"""What others forecast of the same windows: LightGBM by mlforecast, and Prophet, each fitted once before the first origin.

They run in environments of their own, made on demand; one that cannot be installed here is left out, which is said.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.benchmarks.accuracy_tasks.scoring import Forecasts, ScoringSpec, figures
from tests.benchmarks.accuracy_tasks.tasks import TaskSpec
from tests.benchmarks.additive import PROPHET
from tests.benchmarks.peers.environment import ROOT, peer_python

LIGHTGBM = ("mlforecast==1.1.0", "lightgbm==4.7.0", "pandas<3", "pyarrow")
SCRIPTS = ROOT / "tests" / "benchmarks" / "peers"


@dataclass(frozen=True)
class TaskWindows:
    """Windows of a task in the order of its figures: series and first hour of each, and what they are measured by."""

    folder: Path
    windows: pd.DataFrame
    scoring: ScoringSpec
    step_s: int

    @property
    def horizon(self) -> int:
        """H."""
        return int(self.scoring.actual.shape[1])

    def every(self, stride: int) -> "TaskWindows":
        """Those of every `stride`-th origin."""
        chosen = (pd.factorize(self.windows.ds, sort=True)[0] % stride) == 0
        scoring = self.scoring
        part = ScoringSpec(scoring.actual[chosen], scoring.unit[chosen], scoring.mase_scale[chosen])
        return TaskWindows(self.folder, self.windows[chosen].reset_index(drop=True), part, self.step_s)


def read_windows(folder: Path) -> TaskWindows:
    """What `product.write_windows` wrote."""
    found = np.load(folder / "windows.npz")
    windows = pd.DataFrame({"series": found["series"], "ds": pd.to_datetime(found["origins"], unit="s")})
    scoring = ScoringSpec(found["actual"], found["unit"], found["mase_scale"])
    return TaskWindows(folder, windows, scoring, int(found["step_s"]))


def measure_peers(task: TaskSpec, folder: Path) -> dict[str, dict[str, Any]]:
    """Figures of each peer on a task whose windows are written, by name; one that is left out has `left_out`."""
    windows = read_windows(folder)
    found = {}
    for name, ask in PEERS.items():
        print(f"{folder.name}: {name}", flush=True)
        try:
            found[name] = ask(task, windows)
        except subprocess.CalledProcessError as error:
            found[name] = {"left_out": f"it could not be installed or run here: {error}"[:300]}
            print(f"{folder.name}: {name} is left out: {error}", flush=True)
    return found


def _lightgbm(task: TaskSpec, every: TaskWindows) -> dict[str, Any]:
    windows = every.every(task.peer_stride)
    python = peer_python("mlforecast", *LIGHTGBM)
    asked, out = every.folder / "asked.csv", every.folder / "lightgbm.npy"
    windows.windows.to_csv(asked, index=False)
    words = ["--horizon", str(windows.horizon), "--step", str(windows.step_s), "--zone", task.zone]
    script = str(SCRIPTS / "lightgbm_forecasts.py")
    done = subprocess.run(
        [str(python), script, str(every.folder / "series.parquet"), str(asked), str(out), *words],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    took = json.loads(done.stdout.strip().splitlines()[-1])
    notes = {"peer_stride": task.peer_stride} if task.peer_stride > 1 else {}
    return figures(Forecasts(np.load(out)), windows.scoring, task.measures) | took | notes


def _prophet(task: TaskSpec, windows: TaskWindows) -> dict[str, Any]:
    """Prophet knows no origins: what it says of an hour is the same from every one of them."""
    python = peer_python("prophet", *PROPHET)
    table = pd.read_parquet(windows.folder / "series.parquet")
    first = windows.windows.ds.min()
    ahead = table[table.ds >= first].groupby("series", sort=True).ds.apply(np.asarray)

    def clock(stamps: pd.Series) -> pd.Series:
        return stamps.dt.tz_localize("UTC").dt.tz_convert(task.zone).dt.tz_localize(None)

    cutoff = clock(pd.Series([first]))[0]
    place, out = windows.folder / "prophet.csv", windows.folder / "prophet_out.csv"
    table.assign(ds=clock(table.ds)).to_csv(place, index=False)
    script = str(SCRIPTS / "prophet_forecasts.py")
    done = subprocess.run(
        [str(python), script, str(place), str(out), "--cutoff", str(cutoff)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    took = json.loads(done.stdout.strip().splitlines()[-1])
    # An hour that the clock shows twice has two rows: they are told apart by their order, which the peer keeps.
    answers = pd.read_csv(out).groupby("series", sort=True).yhat.apply(np.asarray)
    return figures(Forecasts(by_window(answers, ahead, windows)), windows.scoring, task.measures) | took


def by_window(answers: pd.Series, ahead: pd.Series, windows: TaskWindows) -> npt.NDArray[np.float64]:
    """Answers `[W,H]` of windows from those of consecutive hours."""
    steps = np.arange(windows.horizon)
    found = np.empty((len(windows.windows), windows.horizon))
    for name, part in windows.windows.groupby("series"):
        if len(answers[name]) != len(ahead[name]):
            raise ValueError(f"Prophet must answer {len(ahead[name])} hours of {name}, found {len(answers[name])}")
        rows = np.searchsorted(ahead[name], part.ds.to_numpy())
        found[part.index] = answers[name][rows[:, None] + steps]
    return found


PEERS: dict[str, Callable[[TaskSpec, TaskWindows], dict[str, Any]]] = {"lightgbm": _lightgbm, "prophet": _prophet}
