"""LightGBM by mlforecast, one recursive model over all series; runs in an environment that has both.

Reads a Parquet table `series, ds, y, <covariates known ahead>` of equal steps, and a CSV `series, ds` of first forecast
steps; fits once on what lies before the first of them and writes `yhat`, `[W,H]`, as a NumPy file.
"""

import argparse
import json
import time

import lightgbm
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMax, RollingMean, RollingMin, RollingStd

DAY_S, WEEK_S = 86_400, 604_800
AT_ONCE = 1_000
TREES = {
    "n_estimators": 600, "learning_rate": 0.05, "num_leaves": 31, "subsample": 0.8, "subsample_freq": 1,
    "colsample_bytree": 0.7, "n_jobs": 1, "random_state": 1, "verbose": -1,
}  # fmt: skip


def seasons_of(step_s: int) -> tuple[int, int]:
    """Steps of the two seasons that steps of this length have: day and week, week and month of weeks, month and year."""
    if step_s < DAY_S:
        return DAY_S // step_s, WEEK_S // step_s
    return (7, 28) if step_s == DAY_S else (4, 52)


def lags_of(short: int, long: int) -> list[int]:
    """Every step of the short season, its multiples up to the long one, the long one, its neighbours and its double."""
    multiples = range(2 * short, long, short)
    return sorted({*range(1, short + 1), *multiples, long - 1, long, long + 1, 2 * long})


def with_columns(table: pd.DataFrame, zone: str, step_s: int) -> pd.DataFrame:
    """The clock of the zone; of each covariate, which is known ahead, also its means, and its values a day before and after."""
    local = table.ds.dt.tz_localize("UTC").dt.tz_convert(zone)
    covariates = [name for name in table.columns if name not in ("unique_id", "ds", "y")]
    clock = {"weekday": local.dt.dayofweek, "month": local.dt.month, "day": local.dt.dayofyear}
    if step_s < DAY_S:
        clock = {"hour": local.dt.hour + local.dt.minute / 60, **clock}
    found = table.assign(**clock)
    short = seasons_of(step_s)[0]
    for name in covariates:
        of_series = table.groupby("unique_id")[name]
        for steps in (short, 3 * short):
            found[f"{name}_mean_{steps}"] = of_series.transform(lambda x, n=steps: x.rolling(n, min_periods=1).mean())
        for steps in (short, -short):
            found[f"{name}_at_{-steps}"] = of_series.shift(steps).fillna(table[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("windows")
    parser.add_argument("out")
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--step", type=int, required=True, help="seconds")
    parser.add_argument("--zone", required=True)
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.table).rename(columns={"series": "unique_id"})
    table = with_columns(table.sort_values(["unique_id", "ds"], ignore_index=True), arguments.zone, arguments.step)
    windows = pd.read_csv(arguments.windows, parse_dates=["ds"], dtype={"series": str})
    # A recursion needs every lag: what is missing is the value before it.
    table["y"] = table.groupby("unique_id").y.ffill()
    # Standardised here and not by mlforecast, which would take the scale of a forecast from its few steps of context.
    scales = table[table.ds < windows.ds.min()].groupby("unique_id").y.agg(["mean", "std"])
    scales["std"] = scales["std"].where(scales["std"] > 0, 1.0)
    table["y"] = (table.y - table.unique_id.map(scales["mean"])) / table.unique_id.map(scales["std"])
    before = table[table.ds < windows.ds.min()]
    short, long = seasons_of(arguments.step)
    # A short history bears no long lags: they would leave nothing to learn from.
    longest = int(before.groupby("unique_id").y.count().max()) // 3
    lags = [lag for lag in lags_of(short, long) if lag <= max(longest, 1)]
    rolling = [RollingMean(short), RollingStd(short), RollingMin(short), RollingMax(short)]
    model = MLForecast(
        models={"yhat": lightgbm.LGBMRegressor(**TREES)},
        freq=pd.tseries.frequencies.to_offset(pd.Timedelta(seconds=arguments.step)),
        lags=lags,
        lag_transforms={1: [*rolling, RollingMean(long)] if long <= longest else rolling},
    )
    began = time.process_time()
    model.fit(before.dropna(), static_features=[])
    fit_cpu_s = time.process_time() - began
    rows = {name: part.reset_index(drop=True) for name, part in table.groupby("unique_id")}
    context = max(lags[-1], long) + short
    parts = [windows[i : i + AT_ONCE] for i in range(0, len(windows), AT_ONCE)]
    found = [forecast(model, rows, part, horizon=arguments.horizon, context=context) for part in parts]
    of_window = scales.loc[windows.series]
    np.save(arguments.out, np.concatenate(found) * of_window[["std"]].to_numpy() + of_window[["mean"]].to_numpy())
    print(json.dumps({"fit_cpu_s": round(fit_cpu_s, 1)}))


def forecast(
    model: MLForecast, rows: dict[str, pd.DataFrame], windows: pd.DataFrame, *, horizon: int, context: int
) -> np.ndarray:
    """Forecasts `[W,H]` of windows, each as a series of its own that ends before its first step."""
    past, ahead = [], []
    for number, window in enumerate(windows.itertuples()):
        table = rows[window.series]
        first = int(table.ds.searchsorted(window.ds))
        name = f"{number:06d}"
        past.append(table[max(0, first - context) : first].assign(unique_id=name))
        ahead.append(table[first : first + horizon].drop(columns="y").assign(unique_id=name))
    answer = model.predict(horizon, new_df=pd.concat(past), X_df=pd.concat(ahead))
    return answer.sort_values(["unique_id", "ds"]).yhat.to_numpy().reshape(len(windows), horizon)


if __name__ == "__main__":
    main()
