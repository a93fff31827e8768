"""The tasks: which configuration, which table, which origins, and what is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tests.benchmarks.peers.environment import ROOT

TABLES = ROOT.parent / "shared" / "data"
CONFIGS = Path(__file__).parents[1] / "configs"
_ETTH1_TRAIN_HOURS, _ETTH1_HOURS = 8_640, 14_400
_M4_ENDS = "2020-03-02T00:00Z"


@dataclass(frozen=True)
class TaskSpec:
    """A task of the benchmark.

    config: YAML among `configs/`. table: writes the table that the configuration names and returns its path. measures:
    which figures count. stride: hours between origins. seeds: of the trainings; figures are means over them.
    on_validation: score the validation period, by a model that has learnt from the train cut alone. peer_stride: every how
    many origins the recursive peer is asked. peer_context: hours that it reads. zone: whose clock the peers follow.
    """

    config: str
    table: Callable[[Path], Path]
    measures: tuple[str, ...]
    stride: int = 24
    seeds: tuple[int, ...] = (1,)
    on_validation: bool = False
    peer_stride: int = 1
    zone: str = "UTC"
    standardised: bool = False


def victoria(folder: Path) -> Path:
    """Half-hours of demand, temperature and holidays, as they are published."""
    table = pd.read_csv(TABLES / "vic_electricity.csv")
    path = folder / "vic_electricity.csv"
    table.assign(Holiday=table.Holiday.astype(float)).to_csv(path, index=False)
    return path


def etth1(folder: Path) -> Path:
    """The seven channels of a transformer below each other, each a series, in their own units."""
    table = pd.read_csv(TABLES / "ETTh1.csv", parse_dates=["date"])[:_ETTH1_HOURS]
    path = folder / "etth1.parquet"
    long = table.melt("date", var_name="channel", value_name="value")
    long.assign(date=long.date.dt.tz_localize("UTC"), series=long.channel).to_parquet(path, index=False)
    return path


def m4_hourly(folder: Path) -> Path:
    """The 414 hourly series of the M4 competition, moved so that they end together."""
    table = pd.read_parquet(TABLES / "m4_hourly.parquet")
    after = table.groupby("series_id").cumcount(ascending=False)
    stamps = pd.Timestamp(_M4_ENDS) - pd.to_timedelta(after + 1, unit="h")
    path = folder / "m4_hourly.parquet"
    table.assign(timestamp=stamps, series=table.series_id)[["series_id", "series", "timestamp", "value"]].to_parquet(
        path, index=False
    )
    return path


_VIC = ("mae", "rmse", "wql", "coverage_80")
_ZONE = "Australia/Melbourne"
TASKS: dict[str, TaskSpec] = {
    "vic_24h": TaskSpec("vic_24h", victoria, _VIC, zone=_ZONE),
    "vic_72h": TaskSpec("vic_72h", victoria, _VIC, zone=_ZONE),
    "vic_24h_single": TaskSpec("vic_24h_single", victoria, _VIC, seeds=(1, 2, 3), zone=_ZONE),
    "vic_72h_single": TaskSpec("vic_72h_single", victoria, _VIC, seeds=(1, 2, 3), zone=_ZONE),
    "vic_24h_validation": TaskSpec("vic_24h", victoria, _VIC, on_validation=True, zone=_ZONE),
    "etth1_96": TaskSpec(
        "etth1_96", etth1, ("mse", "mae", "wql", "coverage_80"), stride=1, peer_stride=24, standardised=True
    ),
    "m4_hourly": TaskSpec("m4_hourly", m4_hourly, ("smape", "mase", "wql", "coverage_80")),
}
