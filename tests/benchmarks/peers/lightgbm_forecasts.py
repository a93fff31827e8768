"""LightGBM by mlforecast, one recursive model over all series; runs in an environment that has both.

Reads a Parquet table `series, ds, y, <covariates known ahead>` of hours, and a CSV `series, ds` of first forecast hours;
fits once on what lies before the first of them and writes `yhat`, `[W,H]`, as a NumPy file.
"""

import argparse
import json
import time

import lightgbm
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMax, RollingMean, RollingMin, RollingStd

LAGS = [*range(1, 25), 48, 72, 96, 120, 144, 167, 168, 169, 336]
CONTEXT = 400
"""Hours that a forecast is made from: the longest lag and the longest window."""
AT_ONCE = 1_000
TREES = {
    "n_estimators": 600, "learning_rate": 0.05, "num_leaves": 31, "subsample": 0.8, "subsample_freq": 1,
    "colsample_bytree": 0.7, "n_jobs": 1, "random_state": 1, "verbose": -1,
}  # fmt: skip


def with_columns(table: pd.DataFrame, zone: str) -> pd.DataFrame:
    """The clock of the zone; of each covariate, which is known ahead, also its means, and its values a day before and after."""
    local = table.ds.dt.tz_localize("UTC").dt.tz_convert(zone)
    covariates = [name for name in table.columns if name not in ("unique_id", "ds", "y")]
    found = table.assign(hour=local.dt.hour, weekday=local.dt.dayofweek, month=local.dt.month, day=local.dt.dayofyear)
    for name in covariates:
        of_series = table.groupby("unique_id")[name]
        for hours in (24, 72):
            found[f"{name}_mean_{hours}"] = of_series.transform(lambda x, n=hours: x.rolling(n, min_periods=1).mean())
        for hours in (24, -24):
            found[f"{name}_at_{-hours}"] = of_series.shift(hours).fillna(table[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("windows")
    parser.add_argument("out")
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--zone", required=True)
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.table).rename(columns={"series": "unique_id"})
    table = with_columns(table.sort_values(["unique_id", "ds"], ignore_index=True), arguments.zone)
    windows = pd.read_csv(arguments.windows, parse_dates=["ds"])
    # Standardised here and not by mlforecast, which would take the scale of a forecast from its few hours of context.
    scales = table[table.ds < windows.ds.min()].groupby("unique_id").y.agg(["mean", "std"])
    table["y"] = (table.y - table.unique_id.map(scales["mean"])) / table.unique_id.map(scales["std"])
    model = MLForecast(
        models={"yhat": lightgbm.LGBMRegressor(**TREES)},
        freq="h",
        lags=LAGS,
        lag_transforms={1: [RollingMean(24), RollingStd(24), RollingMin(24), RollingMax(24), RollingMean(168)]},
    )
    began = time.process_time()
    model.fit(table[table.ds < windows.ds.min()].dropna(), static_features=[])
    fit_cpu_s = time.process_time() - began
    rows = {name: part.reset_index(drop=True) for name, part in table.groupby("unique_id")}
    found = [
        forecast(model, rows, windows[i : i + AT_ONCE], arguments.horizon) for i in range(0, len(windows), AT_ONCE)
    ]
    of_window = scales.loc[windows.series]
    np.save(arguments.out, np.concatenate(found) * of_window[["std"]].to_numpy() + of_window[["mean"]].to_numpy())
    print(json.dumps({"fit_cpu_s": round(fit_cpu_s, 1)}))


def forecast(model, rows: dict[str, pd.DataFrame], windows: pd.DataFrame, horizon: int) -> np.ndarray:
    """Forecasts `[W,H]` of windows, each as a series of its own that ends before its first hour."""
    past, ahead = [], []
    for number, window in enumerate(windows.itertuples()):
        table = rows[window.series]
        first = int(table.ds.searchsorted(window.ds))
        name = f"{number:06d}"
        past.append(table[max(0, first - CONTEXT) : first].assign(unique_id=name))
        ahead.append(table[first : first + horizon].drop(columns="y").assign(unique_id=name))
    answer = model.predict(horizon, new_df=pd.concat(past), X_df=pd.concat(ahead))
    return answer.sort_values(["unique_id", "ds"]).yhat.to_numpy().reshape(len(windows), horizon)


if __name__ == "__main__":
    main()
