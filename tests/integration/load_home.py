"""A home in which the real `almanac` command runs on a small table: a made-up hourly load with temperature and holidays."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import list_runs

ALMANAC = Path(sys.executable).with_name("almanac")
MODEL = "load"
N_HOURS = 120 * 24
HORIZON = 24
FIRST_HOUR = datetime(2024, 1, 1, tzinfo=UTC)

# An honest model comes to about 0.11 of the naive error on this table: the noise alone is 0.08 of it.
CONFIG = """\
name: load
data: {uri: load.csv, time_column: time, target: load, known: [temperature, holiday], aggregation: {holiday: max}}
validation: {max_missing_ratio: 0.02, max_quarantined_ratio: 0.5, data_docs: false}
forecast: {horizon: 24, context: 48, segment: 24, seasons: [24, 48]}
features:
  calendar: [day_of_week, is_weekend]
  fourier: [{period: 24h, order: 2}]
  derived: [{kind: rolling, column: target, windows: [24], statistics: [mean, std]}]
split: {validation: 10d, test: 14d}
model: {units: 16, head_units: 16, step_units: 4, dropout: 0.0}
training: {batch_size: 64, max_epochs: 5, learning_rate: 0.01, warmup_steps: 10}
compression: {variants: [tflite_int8_weights], max_accuracy_loss: 0.2, n_parity_windows: 8, time_budget_s: 3600}
gates:
  model: {max_mae: 40, max_rmse: 60, max_naive_ratio: 0.5, max_champion_ratio: 1.5}
  compressed: {max_mae: 40, max_rmse: 60}
  serving: {max_latency_ms: 500, max_difference_ratio: 0.001}
serving: {grpc_port: 0, rest_port: 0, gateway_port: 0, n_warmup_records: 1}
"""

# The same load as one of two sites, the temperature as it was forecast, and the hours of an outage left out.
SITES_DATA = """\
data:
  uri: load.csv
  time_column: time
  id_columns: [site]
  target: load
  known: [temperature, holiday]
  vintages: {uri: weather.csv, issued_column: issued_at, columns: [temperature], shared: true}
  events: {uri: outages.csv, kind_column: kind}
  aggregation: {holiday: max}
"""
BROKEN_SITE = "stuck"
OUTAGE = (datetime(2024, 2, 10, 6, tzinfo=UTC), datetime(2024, 2, 10, 18, tzinfo=UTC))

Row = dict[str, str]


def load_rows(seed: int = 7) -> list[Row]:
    """120 days of hours, and one day more of which only the covariates are known."""
    rng = np.random.default_rng(seed)
    hours = np.arange(N_HOURS + HORIZON)
    weather = np.zeros(len(hours))
    for i, change in enumerate(rng.normal(0, 0.8, len(hours))):
        weather[i] = 0.97 * weather[i - 1] + change
    temperature = 15 + weather + 5 * np.sin(2 * np.pi * (hours - 9) / 24)
    day = hours // 24
    holiday = day % 17 == 3
    load = 1_000 + 200 * np.sin(2 * np.pi * (hours - 8) / 24) + 25 * (temperature - 15)
    load += rng.normal(0, 10, len(hours)) - 150 * (holiday | (day % 7 >= 5))
    return [
        {
            "time": (FIRST_HOUR + timedelta(hours=int(hour))).isoformat(),
            "load": f"{load[hour]:.3f}" if hour < N_HOURS else "",
            "temperature": f"{temperature[hour]:.2f}",
            "holiday": f"{int(holiday[hour])}",
        }
        for hour in hours
    ]


def write_rows(rows: Sequence[Row], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class LoadHome:
    """`folder` holds load.csv and load.yaml; `home` is ALMANAC_HOME."""

    folder: Path
    home: Path = field(default=Path())

    @property
    def layout(self) -> HomeLayout:
        return HomeLayout(self.home)

    @property
    def config(self) -> Path:
        return self.folder / "load.yaml"

    def copy(self, home: Path) -> "LoadHome":
        """The same table and configuration with a copy of the home, to be changed."""
        return replace(self, home=Path(shutil.copytree(self.home, home)))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ALMANAC_HOME": str(self.home), "GX_ANALYTICS_ENABLED": "false"}

    def almanac(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ALMANAC), *words], cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.almanac("run", "-c", str(self.config), *words)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command in a process group of its own."""
        return subprocess.Popen(
            [str(ALMANAC), *words], cwd=self.folder, env=self.environment(), start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def latest(self) -> RunLayout:
        return list_runs(self.layout)[0]

    def champion_bytes(self) -> tuple[bytes, bytes]:
        """What says who is champion: the roles, and the server's configuration."""
        models = self.layout.models
        return (models / MODEL / "roles.json").read_bytes(), (models / "models.config").read_bytes()


def make_home(folder: Path) -> LoadHome:
    write_rows(load_rows(), folder / "load.csv")
    (folder / "load.yaml").write_text(CONFIG)
    return LoadHome(folder, folder / "home")


def make_sites_home(folder: Path) -> LoadHome:
    """A home whose table has two sites, one of them with a meter that is stuck, weather by vintage, and an outage."""
    rows = load_rows()
    write_rows(site_rows(rows), folder / "load.csv")
    write_rows(weather_rows(rows), folder / "weather.csv")
    start, end = (moment.isoformat() for moment in OUTAGE)
    write_rows([{"start": start, "end": end, "kind": "outage"}], folder / "outages.csv")
    first, _, rest = CONFIG.partition("data: ")
    (folder / "load.yaml").write_text(first + SITES_DATA + rest.partition("\n")[2])
    return LoadHome(folder, folder / "home")


def site_rows(rows: Sequence[Row]) -> list[Row]:
    """The load as site `north`, with an outage; and a site whose meter always says the same."""
    dark = {(OUTAGE[0] + timedelta(hours=hour)).isoformat() for hour in range(12)}
    north = [{"site": "north", **row, "load": "0.0" if row["time"] in dark else row["load"]} for row in rows]
    return north + [{"site": BROKEN_SITE, **row, "load": "512.0" if row["load"] else ""} for row in rows]


def weather_rows(rows: Sequence[Row]) -> list[Row]:
    """Every midnight the temperature of the next 48 hours, with an error that grows with the lead."""
    rng = np.random.default_rng(3)
    known = [float(row["temperature"]) for row in rows]
    return [
        {
            "time": rows[hour]["time"],
            "issued_at": rows[issued]["time"],
            "temperature": f"{known[hour] + rng.normal(0, 0.05 + 0.01 * (hour - issued)):.2f}",
        }
        for issued in range(0, len(rows), 24)
        for hour in range(issued, min(issued + 48, len(rows)))
    ]


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines on stderr that are neither the name of the run nor progress of its steps."""
    return [line for line in done.stderr.splitlines() if not re.match(r"run \S+$|\[\d/\d\] ", line)]


def document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def result_lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What a run said of each step when the step had ended."""
    lines = [line.split(maxsplit=2) for line in done.stderr.splitlines() if re.match(r"\[\d/\d\] .*[^…]$", line)]
    return {step: rest for _, step, rest in lines}


def half_written(run: RunLayout) -> list[str]:
    """Directories of steps without a manifest, and unfinished ones."""
    steps = [run.step(step) for step in StepName if run.step(step).exists()]
    return [path.name for path in (*steps, *run.root.glob(".*.partial")) if not (path / "manifest.json").is_file()]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], *, timeout_s: float = 120) -> None:
    """Look again and again while a process lives; fails when it ends first, or after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {process.args}")
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        assert condition(), f"{process.args} ended with {process.returncode} before"


@dataclass(frozen=True)
class ServedLoad:
    """A running `almanac serve`: `host:port` of gRPC and REST, URL of the gateway."""

    process: subprocess.Popen[str]
    grpc: str
    rest: str
    gateway: str


@contextmanager
def serving(home: LoadHome, *words: str) -> Iterator[ServedLoad]:
    """`almanac serve` from its line "ready" until SIGTERM, with more words on its command line."""
    process = home.start("serve", "-c", str(home.config), *words)
    try:
        assert process.stdout is not None
        said: dict[str, str] = {}
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            said[word] = rest.strip()
            if word == "ready:":
                break
        else:
            raise AssertionError(f"almanac serve ended: {process.communicate()[1]}")
        yield ServedLoad(process, said["gRPC"], said["REST"].removeprefix("http://"), said["gateway"])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
