"""The demand of Victoria by the half hour, and what becomes of it when part of the evening's load moves to the night."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

ZONE = ZoneInfo("Australia/Melbourne")
TABLE = Path(__file__).parents[5] / "shared" / "data" / "vic_electricity.csv"
EVENING = range(17, 23)
"""Hours on the clock of the street whose load moves."""
HOURS_LATER = 7
"""From 17 to midnight, from 22 to 5 in the morning."""
MOVED = 0.15
COLUMNS = ("Demand", "Temperature", "Holiday")


def local_midnight(year: int, month: int, day: int) -> int:
    """Epoch seconds of the begin of a day in Melbourne."""
    return int(datetime(year, month, day, tzinfo=ZONE).timestamp())


@dataclass(frozen=True)
class DemandTable:
    """Half hours from `start` on, epoch seconds; values by column `[T]`."""

    start: int
    columns: dict[str, npt.NDArray[np.float64]]

    def hourly(self, name: str, begin: int, end: int) -> list[float]:
        """Values of a column by the hour, as the configuration aggregates them: means, of holidays the largest."""
        low, high = (begin - self.start) // 1_800, (end - self.start) // 1_800
        pairs = self.columns[name][low:high].reshape(-1, 2)
        return [round(float(one), 3) for one in (pairs.max(axis=1) if name == "Holiday" else pairs.mean(axis=1))]

    def write(self, path: Path, begin: int, end: int) -> None:
        """Write the rows of a period as CSV."""
        low, high = max(0, (begin - self.start) // 1_800), (end - self.start) // 1_800
        times = pd.to_datetime(self.start + 1_800 * np.arange(low, high), unit="s")
        found = {name: values[low:high].round(6) for name, values in self.columns.items()}
        pd.DataFrame({"Time": times.strftime("%Y-%m-%dT%H:%M:%SZ"), **found}).to_csv(path, index=False)


def read_demand(path: Path = TABLE) -> DemandTable:
    """The table as it was measured."""
    table = pd.read_csv(path)
    start = int(datetime.fromisoformat(table["Time"][0]).astimezone(UTC).timestamp())
    holiday = table["Holiday"].astype(str).str.upper() == "TRUE"
    columns = {"Demand": table["Demand"], "Temperature": table["Temperature"], "Holiday": holiday}
    return DemandTable(start, {name: values.to_numpy(np.float64) for name, values in columns.items()})


def moved_to_the_night(table: DemandTable, since: int) -> DemandTable:
    """The table with a share of each evening's load seven hours later, from a time on; the sum of a day stays."""
    demand = table.columns["Demand"]
    times = pd.to_datetime(table.start + 1_800 * np.arange(len(demand)), unit="s", utc=True)
    is_evening = np.isin(times.tz_convert(ZONE).hour, list(EVENING)) & (times >= pd.Timestamp(since, unit="s", tz=UTC))
    moved = np.where(is_evening, MOVED * demand, 0.0)
    later = np.concatenate([np.zeros(2 * HOURS_LATER), moved[: -2 * HOURS_LATER]])
    return DemandTable(table.start, {**table.columns, "Demand": demand - moved + later})
