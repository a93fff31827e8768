"""One engine's way to the 23 feature columns of `tests/benchmarks/features.py`; prints one line of JSON.

Runs without Almanac, in an environment that has the engine: `python feature_columns.py ENGINE SERIES STEPS`.
What depends on time alone is made once and repeated, where the engine lets one do so.
"""

import json
import os
import resource
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

LAGS, WINDOWS, PERIODS, ORDERS = (1, 24, 168), (24, 168), (24, 168), (1, 2)


def panel(n_series: int, n_steps: int) -> np.ndarray:
    """Target, float32 `[series, steps]`."""
    rng = np.random.default_rng(0)
    day = 100 + 10 * np.sin(2 * np.pi * np.arange(n_steps) / 24)
    return (day[None] + 3 * rng.standard_normal((n_series, n_steps), dtype=np.float32)).astype(np.float32)


def by_time(stamps: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """The twelve columns that depend on time alone."""
    hours = stamps.as_unit("s").asi8 // 3_600
    columns = {
        "hour": stamps.hour.to_numpy(dtype=np.float32),
        "weekday": stamps.day_of_week.to_numpy(dtype=np.float32),
        "month": stamps.month.to_numpy(dtype=np.float32),
        "holiday": ((stamps.month == 12) & (stamps.day == 25)).astype(np.float32),
    }
    for period in PERIODS:
        for order in ORDERS:
            angle = 2 * np.pi * order * (hours % period) / period
            columns[f"sin_{period}_{order}"] = np.sin(angle).astype(np.float32)
            columns[f"cos_{period}_{order}"] = np.cos(angle).astype(np.float32)
    return columns


def with_numpy(target: np.ndarray, stamps: pd.DatetimeIndex) -> int:
    """Cumulative sums in float64 and doubling for extremes; one plane a column."""
    n_series, n_steps = target.shape
    planes = np.full((23, n_series, n_steps), np.nan, dtype=np.float32)
    for i, lag in enumerate(LAGS):
        planes[i, :, lag:] = target[:, :-lag]
    for begin in range(0, n_series, 32):
        block = target[begin : begin + 32]
        place = len(LAGS)
        for window in WINDOWS:
            centred = block.astype(np.float64) - block[:, :1]
            sums, squares = np.cumsum(centred, axis=1), np.cumsum(centred * centred, axis=1)
            for total in (sums, squares):
                total[:, window:] -= total[:, :-window].copy()
            mean = sums[:, window - 1 :] / window
            spread = np.sqrt(np.maximum(squares[:, window - 1 :] / window - mean * mean, 0))
            for offset, found in enumerate((mean + block[:, :1], spread)):
                planes[place + offset, begin : begin + 32, window:] = found[:, :-1]
            for offset, extreme in ((2, np.minimum), (3, np.maximum)):
                found, size = block, 1
                while 2 * size <= window:
                    found, size = extreme(found[:, :-size], found[:, size:]), 2 * size
                if size < window:
                    found = extreme(found[:, : n_steps - window + 1], found[:, window - size :])
                planes[place + offset, begin : begin + 32, window:] = found[:, :-1]
            place += 4
    for i, column in enumerate(by_time(stamps).values()):
        planes[11 + i] = column
    return planes.shape[0]


def with_pandas(target: np.ndarray, stamps: pd.DatetimeIndex) -> int:
    """Group by series, shift and roll."""
    frame = long_frame(target, stamps)
    grouped = frame.groupby("unique_id", sort=False)["y"]
    for lag in LAGS:
        frame[f"lag_{lag}"] = grouped.shift(lag)
    earlier = frame.groupby("unique_id", sort=False)["lag_1"]
    for window in WINDOWS:
        for name in ("mean", "std", "min", "max"):
            frame[f"{name}_{window}"] = getattr(earlier.rolling(window), name)().to_numpy()
    for name, column in by_time(stamps).items():
        frame[name] = np.tile(column, len(target))
    return frame.shape[1] - 3


def with_polars(target: np.ndarray, stamps: pd.DatetimeIndex) -> int:
    """Expressions over groups."""
    import polars as pl

    n_series, n_steps = target.shape
    frame = pl.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n_series, dtype=np.int32), n_steps),
            "ds": np.tile(stamps.to_numpy(), n_series),
            "y": target.ravel(),
        }
    )
    frame = frame.with_columns(pl.col("y").shift(lag).over("unique_id").alias(f"lag_{lag}") for lag in LAGS)
    frame = frame.with_columns(
        getattr(pl.col("lag_1"), f"rolling_{name}")(window).over("unique_id").alias(f"{name}_{window}")
        for window in WINDOWS
        for name in ("mean", "std", "min", "max")
    )
    frame = frame.with_columns(pl.Series(name, np.tile(column, n_series)) for name, column in by_time(stamps).items())
    return frame.shape[1] - 3


def with_mlforecast(target: np.ndarray, stamps: pd.DatetimeIndex) -> int:
    """Its own lags, lag transforms and date features."""
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMax, RollingMean, RollingMin, RollingStd

    def named(name: str):
        def feature(index: pd.DatetimeIndex) -> np.ndarray:
            return by_time(index)[name]

        feature.__name__ = name
        return feature

    statistics = (RollingMean, RollingStd, RollingMin, RollingMax)
    forecaster = MLForecast(
        models=[], freq="h", lags=list(LAGS), num_threads=1, date_features=[named(name) for name in by_time(stamps[:1])],
        lag_transforms={1: [statistic(window) for window in WINDOWS for statistic in statistics]},
    )  # fmt: skip
    made = forecaster.preprocess(long_frame(target, stamps), static_features=[], dropna=False)
    return made.shape[1] - 3


def long_frame(target: np.ndarray, stamps: pd.DatetimeIndex) -> pd.DataFrame:
    """One row a series and step."""
    n_series, n_steps = target.shape
    return pd.DataFrame(
        {"unique_id": np.repeat(np.arange(n_series), n_steps), "ds": np.tile(stamps, n_series), "y": target.ravel()}
    )


def main() -> None:
    """Measure one engine."""
    engine, n_series, n_steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    work = {"numpy": with_numpy, "pandas": with_pandas, "polars": with_polars, "mlforecast": with_mlforecast}[engine]
    stamps = pd.date_range("2020-01-01", periods=n_steps, freq="h")
    work(panel(2, n_steps), stamps)
    target = panel(n_series, n_steps)
    began = time.process_time()
    n_columns = work(target, stamps)
    cpu_s = time.process_time() - began
    if n_columns != 23:
        raise SystemExit(f"{engine} made {n_columns} columns, not 23")
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(json.dumps({"rows_per_cpu_s": n_series * n_steps / cpu_s, "cpu_s": cpu_s, "peak_rss_mib": rss_mib}))


if __name__ == "__main__":
    main()
